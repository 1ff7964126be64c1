//! The images that stored networks are shown.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::dataset::{self, Split};
use crate::error::{Error, Result};
use crate::random;

/// Part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Val,
    Test,
}

impl FromStr for Part {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "train" => Ok(Self::Train),
            "val" => Ok(Self::Val),
            "test" => Ok(Self::Test),
            _ => Err(Error::not_allowed("part of a data set", text, &["train", "val", "test"])),
        }
    }
}

/// Which images of which data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) dataset: String,
    /// Channels, height and width that they are brought to.
    pub(super) shape: [usize; 3],
    pub(super) part: Part,
    /// How many, at random, but always the same: fewer are the first of more.
    pub(super) count: usize,
}

/// Images of data sets in a folder, each choice read once.
#[derive(Debug)]
pub(super) struct Images {
    folder: PathBuf,
    chosen: Mutex<Vec<(Choice, Arc<Split>)>>,
}

impl Images {
    pub(super) fn of(folder: PathBuf) -> Self {
        Self { folder, chosen: Mutex::default() }
    }

    /// The images of a choice. Who asks while they are read waits.
    pub(super) fn get(&self, choice: &Choice) -> Result<Arc<Split>> {
        let mut chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, split)) = chosen.iter().find(|(known, _)| known == choice) {
            return Ok(Arc::clone(split));
        }
        let dataset = dataset::load(&choice.dataset, choice.shape, Some(&self.folder))?;
        let split = match choice.part {
            Part::Train => dataset.train,
            Part::Val => dataset.val.ok_or_else(|| {
                let message = format!("data set `{}` has no part `val`", choice.dataset);
                Error::invalid(message).with_hint("expected `train` or `test`")
            })?,
            Part::Test => dataset.test,
        };
        let split = Arc::new(pick(&split, choice)?);
        chosen.push((choice.clone(), Arc::clone(&split)));
        Ok(split)
    }
}

fn pick(split: &Split, choice: &Choice) -> Result<Split> {
    let Choice { dataset, shape, count, .. } = choice;
    if *count == 0 || *count > split.len() {
        let images = split.len();
        let message = format!("`{count}` images of data set `{dataset}`: expected 1 to {images}");
        return Err(Error::invalid(message));
    }
    let mut order: Vec<u32> = (0..split.len() as u32).collect();
    random::shuffle(&mut ChaCha8Rng::seed_from_u64(0), &mut order);
    let size: usize = shape.iter().product();
    let mut picked = Split { images: Vec::with_capacity(count * size), labels: Vec::new() };
    for index in &order[..*count] {
        let start = *index as usize * size;
        let pixels = split.images.get(start..start + size);
        picked.images.extend_from_slice(pixels.ok_or_else(|| split.no_image(*index))?);
        picked.labels.push(split.label(*index)?);
    }
    Ok(picked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(part: Part, count: usize) -> Choice {
        Choice { dataset: "digits".to_owned(), shape: [1, 28, 28], part, count }
    }

    #[test]
    fn fewer_are_the_first_of_more() {
        let images = Images::of(PathBuf::new());
        let (few, many) = (choice(Part::Train, 5), choice(Part::Train, 40));
        let (few, many) = (images.get(&few).unwrap(), images.get(&many).unwrap());
        assert_eq!((few.len(), many.len()), (5, 40));
        assert_eq!(few.images, many.images[..5 * 784]);
        assert_eq!(few.labels, many.labels[..5]);
        let again = images.get(&choice(Part::Train, 5)).unwrap();
        assert!(Arc::ptr_eq(&few, &again));
    }

    #[test]
    fn what_there_is_not_is_an_error() {
        let images = Images::of(PathBuf::new());
        let error = images.get(&choice(Part::Test, 100_000)).unwrap_err().to_string();
        assert!(
            error.starts_with("`100000` images of data set `digits`: expected 1 to "),
            "{error}"
        );
        assert!(images.get(&choice(Part::Train, 0)).is_err());
        assert!("testing".parse::<Part>().is_err());
    }
}
