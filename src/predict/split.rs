//! Which states are learnt from and which are judged by: always whole models.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::target::Target;
use crate::error::{Error, Result};
use crate::random::shuffle;

/// A part of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Predictors are fitted to it.
    Train,
    /// Their hyperparameters are chosen on it.
    Validation,
    /// They are judged by it, and by nothing else.
    Test,
}

impl Part {
    /// All parts, in order.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// Its name in tables and split files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// The part called `name`, also by its short names.
    fn by_name(name: &str) -> Result<Self> {
        match name {
            "train" => Ok(Self::Train),
            "val" | "valid" | "validation" => Ok(Self::Validation),
            "test" => Ok(Self::Test),
            _ => Err(Error::not_allowed("part", name, &Self::ALL.map(Self::name))),
        }
    }
}

/// How models are dealt to parts.
#[derive(Debug, Clone, PartialEq)]
pub enum Splitting {
    /// At random, in these percentages of training, validation and test.
    Random([u32; 3]),
    /// The same within each class of the target, so that every part has its share of it.
    Stratified([u32; 3]),
    /// As a file says: the part of each model; models it does not name are left out.
    Named(HashMap<i64, Part>),
    /// Models of these zoos are the test part. The others are dealt at random to training and
    /// validation, in the proportion of 70 to 15.
    AcrossZoos(Vec<String>),
}

impl Splitting {
    /// Reads lines `model_id,part` below a header; spreadsheets may quote them, and put a byte-order
    /// mark in front.
    ///
    /// # Errors
    /// `Invalid` with the line that is not like that, or names a model again; if there is none.
    pub fn from_csv(text: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let bare = |field: &str| field.trim().trim_matches('"').to_owned();
        let mut parts = HashMap::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let (id, part) = line.split_once(',').unwrap_or((line, ""));
            let (id, part) = (bare(id), bare(part));
            if number == 0 {
                if (id.as_str(), part.as_str()) == ("model_id", "part") {
                    continue;
                }
                return Err(Error::invalid(format!(
                    "line 1 is `{line}` instead of `model_id,part`"
                )));
            }
            let at = |error: Error| error.context(format!("line {}", number + 1));
            let id = id.parse::<i64>();
            let id = id.map_err(|_| at(Error::invalid(format!("`{line}` has no model_id"))))?;
            let part = Part::by_name(&part).map_err(at)?;
            if parts.insert(id, part).is_some() {
                return Err(at(Error::invalid(format!("model `{id}` is there twice"))));
            }
        }
        if parts.is_empty() {
            let error = Error::invalid("the split file names no model");
            return Err(error.with_hint(
                "below a line `model_id,part` it has one for each model, such as `17,train`",
            ));
        }
        Ok(Self::Named(parts))
    }
}

impl Splitting {
    /// That it names models which are not among those selected, in words.
    pub(super) fn unselected(&self, model_ids: &[i64]) -> Option<String> {
        let Self::Named(parts) = self else { return None };
        let selected: HashSet<i64> = model_ids.iter().copied().collect();
        let (count, missing) =
            (parts.len(), parts.keys().filter(|id| !selected.contains(id)).count());
        (missing > 0)
            .then(|| format!("{missing} of {count} models in the split file are not selected"))
    }

    /// Whether a model has a part at all.
    pub(super) fn names(&self, id: i64) -> bool {
        match self {
            Self::Named(parts) => parts.contains_key(&id),
            _ => true,
        }
    }

    /// What it is for one target: numbers have no classes to deal within.
    pub(super) fn of(&self, target: &Target) -> Self {
        match self {
            Self::Stratified(shares) if !target.is_class() => Self::Random(*shares),
            other => other.clone(),
        }
    }

    /// What to do where a part has too little.
    fn hint(&self) -> &'static str {
        match self {
            Self::Random(_) | Self::Stratified(_) => {
                "choose more models, or say who is where with `--split-file`"
            }
            Self::Named(_) => {
                "name more models in the split file, or select more of those it names"
            }
            Self::AcrossZoos(_) => "choose other zoos to learn from and to be judged by",
        }
    }
}

/// In words, for the table `results`.
impl fmt::Display for Splitting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random([train, validation, test]) => write!(f, "{train}/{validation}/{test}"),
            Self::Stratified([train, validation, test]) => {
                write!(f, "{train}/{validation}/{test} stratified")
            }
            Self::Named(parts) => write!(f, "file:{}", digest(parts)),
            Self::AcrossZoos(_) => f.write_str("across zoos"),
        }
    }
}

/// Names a split file: eight digits of the SHA-256 of its lines, sorted by model.
fn digest(parts: &HashMap<i64, Part>) -> String {
    let sorted: BTreeMap<&i64, &Part> = parts.iter().collect();
    let lines = sorted.iter().map(|(id, part)| format!("{id},{}\n", part.name()));
    let digest = Sha256::digest(lines.collect::<String>());
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// The states of each part, by their rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    parts: [Vec<usize>; 3],
    models: [usize; 3],
}

impl Split {
    /// Splits the states whose models are `model_ids`, of `zoos`. What is drawn depends on the
    /// ids, the seed and the target's classes only, not on the order of states.
    ///
    /// # Errors
    /// `Invalid` if a part would be empty, or a class is judged that was not learnt.
    pub fn new(
        splitting: &Splitting,
        seed: u64,
        model_ids: &[i64],
        zoos: &[String],
        target: &Target,
    ) -> Result<Self> {
        // The first state of each model tells its zoo and class.
        let mut firsts: BTreeMap<i64, usize> = BTreeMap::new();
        for (row, id) in model_ids.iter().enumerate() {
            firsts.entry(*id).or_insert(row);
        }
        let ids: Vec<i64> = firsts.keys().copied().collect();
        let dealt: HashMap<i64, Part> = match splitting {
            Splitting::Random(shares) => deal(&ids, *shares, seed, 0).collect(),
            Splitting::Stratified(shares) => {
                let mut strata: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
                for (id, row) in &firsts {
                    let class = if target.is_class() { target.values[*row] as usize } else { 0 };
                    strata.entry(class).or_default().push(*id);
                }
                let deal = |(class, ids): (usize, Vec<i64>)| {
                    deal(&ids, *shares, seed, class as u64).collect::<Vec<_>>()
                };
                strata.into_iter().flat_map(deal).collect()
            }
            Splitting::Named(parts) => parts.clone(),
            Splitting::AcrossZoos(tested) => {
                let is_tested = |id: &i64| tested.contains(&zoos[firsts[id]]);
                let (test, learnt): (Vec<i64>, Vec<i64>) = ids.iter().partition(|id| is_tested(id));
                let test = test.into_iter().map(|id| (id, Part::Test));
                deal(&learnt, [70, 15, 0], seed, 0).chain(test).collect()
            }
        };
        let mut split = Self { parts: Default::default(), models: [0; 3] };
        for (row, id) in model_ids.iter().enumerate() {
            if let Some(part) = dealt.get(id) {
                split.parts[*part as usize].push(row);
                split.models[*part as usize] += usize::from(firsts[id] == row);
            }
        }
        split.check(ids.len(), splitting, target)?;
        Ok(split)
    }

    /// The rows of the states of a part, ascending.
    pub fn rows(&self, part: Part) -> &[usize] {
        &self.parts[part as usize]
    }

    /// How many models a part has.
    pub fn models(&self, part: Part) -> usize {
        self.models[part as usize]
    }

    fn check(&self, models: usize, splitting: &Splitting, target: &Target) -> Result<()> {
        if let Some(part) = Part::ALL.into_iter().find(|&part| self.rows(part).is_empty()) {
            let (part, name) = (part.name(), &target.name);
            let message = format!(
                "the split `{splitting}` of `{models}` models leaves none for `{part}` of `{name}`"
            );
            return Err(Error::invalid(message).with_hint(splitting.hint()));
        }
        if !target.is_class() {
            let train = target.of(self.rows(Part::Train));
            if train.iter().all(|value| *value == train[0]) {
                let (name, value) = (&target.name, train[0]);
                let message = format!("target `{name}` is `{value}` in all of the training part");
                return Err(Error::invalid(message).with_hint(splitting.hint()));
            }
            return Ok(());
        }
        let mut learnt = vec![false; target.classes.len()];
        for &row in self.rows(Part::Train) {
            learnt[target.values[row] as usize] = true;
        }
        let judged = [Part::Validation, Part::Test].into_iter().flat_map(|part| self.rows(part));
        let unknown = judged.map(|&row| target.values[row] as usize).find(|&class| !learnt[class]);
        let Some(class) = unknown else { return Ok(()) };
        let (class, name) = (&target.classes[class], &target.name);
        let message = format!("class `{class}` of `{name}` is not in the training part");
        let without = format!("leave it out with `--where \"{name} <> '{class}'\"`");
        Err(Error::invalid(message).with_hint(match splitting {
            Splitting::Random(_) => {
                format!("deal each class in proportion with `--stratify`, or {without}")
            }
            _ => without,
        }))
    }
}

/// Deals models in these shares at random; each part's number is rounded.
fn deal(
    ids: &[i64],
    shares: [u32; 3],
    seed: u64,
    stream: u64,
) -> impl Iterator<Item = (i64, Part)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let mut order: Vec<u32> = (0..ids.len() as u32).collect();
    shuffle(&mut rng, &mut order);
    let total: u32 = shares.iter().sum();
    let until =
        |share: u32| (ids.len() as f64 * f64::from(share) / f64::from(total)).round() as usize;
    let (train, judged) = (until(shares[0]), until(shares[0] + shares[1]));
    let dealt = order.into_iter().enumerate().map(move |(place, index)| {
        let part = match place {
            _ if place < train => Part::Train,
            _ if place < judged => Part::Validation,
            _ => Part::Test,
        };
        (index as usize, part)
    });
    dealt.map(|(index, part)| (ids[index], part)).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `models` models with ids from 100 on and three states each, in zoo `a` or, from the
    /// tenth on, `b`; classes alternate between two and, for every fifth model, a third.
    fn states(models: i64) -> (Vec<i64>, Vec<String>, Target) {
        let ids: Vec<i64> = (0..3 * models).map(|row| 100 + row % models).collect();
        let zoos = ids.iter().map(|id| if *id < 110 { "a" } else { "b" }.to_owned()).collect();
        let class = |id: &i64| match id % 5 {
            0 => "rare",
            odd if odd % 2 == 1 => "odd",
            _ => "even",
        };
        let classes = ids.iter().map(|id| Some(class(id).to_owned())).collect();
        let target = Target::classes("activation", classes).unwrap();
        (ids, zoos, target)
    }

    #[test]
    fn models_stay_together_and_shares_are_kept() {
        let (ids, zoos, target) = states(40);
        let split = |splitting, seed| Split::new(&splitting, seed, &ids, &zoos, &target).unwrap();
        // By class 16, 16 and 8 models: 11, 11 and 6 to learn from.
        let splittings = [
            (Splitting::Random([70, 15, 15]), [28, 6, 6]),
            (Splitting::Stratified([70, 15, 15]), [28, 7, 5]),
        ];
        for (splitting, models) in splittings {
            let split = split(splitting, 7);
            assert_eq!(Part::ALL.map(|part| split.models(part)), models);
            assert_eq!(Part::ALL.map(|part| split.rows(part).len()), models.map(|n| 3 * n));
            let of = |part| split.rows(part).iter().map(|&row| ids[row]).collect::<Vec<_>>();
            for id in of(Part::Test) {
                assert!(!of(Part::Train).contains(&id) && !of(Part::Validation).contains(&id));
            }
        }
        let random = |seed| split(Splitting::Random([70, 15, 15]), seed);
        assert_eq!(random(7), random(7));
        assert_ne!(random(7), random(8));
        // 8 models are rare: 5.6, 1.2 and 1.2 of them.
        let stratified = split(Splitting::Stratified([70, 15, 15]), 7);
        let rare = target.classes.iter().position(|class| class == "rare").unwrap() as f64;
        let count = |part| target.of(stratified.rows(part)).iter().filter(|c| **c == rare).count();
        assert_eq!(Part::ALL.map(count), [18, 3, 3]);
    }

    #[test]
    fn the_draw_is_frozen() {
        let ids: Vec<i64> = (1..=20).collect();
        let dealt: HashMap<i64, Part> = deal(&ids, [70, 15, 15], 42, 0).collect();
        let of = |part| ids.iter().copied().filter(|id| dealt[id] == part).collect::<Vec<_>>();
        assert_eq!([of(Part::Validation), of(Part::Test)], FROZEN);
    }

    /// Stored results name split and seed: these must go on to mean the same models.
    const FROZEN: [[i64; 3]; 2] = [[7, 17, 19], [3, 5, 13]];

    #[test]
    fn zoos_and_files_say_who_is_where() {
        let (ids, zoos, target) = states(20);
        let across = Splitting::AcrossZoos(vec!["b".to_owned()]);
        let split = Split::new(&across, 1, &ids, &zoos, &target).unwrap();
        assert!(split.rows(Part::Test).iter().all(|&row| zoos[row] == "b"));
        assert_eq!(Part::ALL.map(|part| split.models(part)), [8, 2, 10]);

        let mut file = "model_id,part\n".to_owned();
        for id in 100..118 {
            let part = ["train", "train", "train", "train", "val", "test"][id as usize % 6];
            file += &format!("{id},{part}\n");
        }
        let named = Splitting::from_csv(&file).unwrap();
        let split = Split::new(&named, 1, &ids, &zoos, &target).unwrap();
        assert_eq!(Part::ALL.map(|part| split.models(part)), [12, 3, 3]);
    }

    #[test]
    fn a_wrong_file_names_the_line() {
        let error = |text: &str| Splitting::from_csv(text).unwrap_err().to_string();
        assert_eq!(error("id,part\n"), "line 1 is `id,part` instead of `model_id,part`");
        assert_eq!(error("model_id,part\nx,test\n"), "line 2: `x,test` has no model_id");
        assert_eq!(
            error("model_id,part\n7,tset\n"),
            "line 2: unknown part `tset`: expected one of `train`, `validation`, `test`"
        );
        assert_eq!(error("model_id,part\n7,test\n7,train\n"), "line 3: model `7` is there twice");
        for nothing in ["", "\n", "model_id,part\n"] {
            assert_eq!(error(nothing), "the split file names no model");
        }
    }

    #[test]
    fn a_file_of_a_spreadsheet_is_read() {
        let text = "\u{feff}\"model_id\",\"part\"\r\n\"7\",\"test\"\r\n8,val\r\n";
        let parts = [(7, Part::Test), (8, Part::Validation)];
        assert_eq!(Splitting::from_csv(text).unwrap(), Splitting::Named(parts.into()));
    }

    /// `printf '%s\n' -7,test 8,validation 11,train | sha256sum`.
    #[test]
    fn files_are_told_apart() {
        let file = |text: &str| Splitting::from_csv(text).unwrap().to_string();
        assert_eq!(file("model_id,part\n11,train\n8,val\n-7,test\n"), "file:271566e8");
        assert_ne!(file("model_id,part\n11,train\n8,val\n-7,train\n"), "file:271566e8");
    }

    #[test]
    fn models_of_the_file_that_are_not_selected_are_counted() {
        let named = Splitting::from_csv("model_id,part\n1,train\n2,val\n3,test\n").unwrap();
        let said = "2 of 3 models in the split file are not selected";
        assert_eq!(named.unselected(&[1, 1, 4]).as_deref(), Some(said));
        assert_eq!(named.unselected(&[1, 2, 3, 4]), None);
        assert_eq!(Splitting::Random([70, 15, 15]).unselected(&[1]), None);
    }

    #[test]
    fn what_cannot_be_judged_is_an_error() {
        let (ids, zoos, target) = states(5);
        let few = Split::new(&Splitting::Random([70, 15, 15]), 1, &ids[..3], &zoos, &target);
        assert_eq!(
            few.unwrap_err().to_string(),
            "the split `70/15/15` of `3` models leaves none for `test` of `activation`"
        );
        let parts = [(100, Part::Test), (101, Part::Train), (102, Part::Validation)];
        let named = Splitting::Named(parts.into());
        let error = Split::new(&named, 1, &ids, &zoos, &target).unwrap_err();
        assert_eq!(error.to_string(), "class `even` of `activation` is not in the training part");
    }
}
