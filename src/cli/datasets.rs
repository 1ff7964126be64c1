//! `zoolake datasets`: what can be trained on, and how to get it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use clap::{Args, Subcommand};

use super::display::{self, thousands};
#[cfg(feature = "fetch")]
use super::fetch::FetchFiles;
use super::place::DataFolder;
use super::progress::note;
use super::stdout::print;
use crate::dataset::{self, Info};
use crate::error::{Error, Result};

/// List data sets, fetch official files, add your own
///
/// Without a subcommand: every data set, its images in training, validation and
/// test, and where its files are.
#[derive(Debug, Args)]
pub(super) struct Datasets {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    data: DataFolder,
}

#[derive(Debug, Subcommand)]
enum Action {
    #[cfg(feature = "fetch")]
    Fetch(FetchFiles),
    Add(Add),
}

/// Make a data set of your own images or arrays
///
/// PATH holds images of one size, PNG or JPEG, as `train/<class>/*` and
/// `test/<class>/*`, perhaps also `val/<class>/*`; or NumPy arrays
/// `train_images.npy` (uint8, [N, H, W] or [N, H, W, C]) and `train_labels.npy`
/// (integers from 0), likewise for `test` and perhaps `val`. They are copied to
/// DIR/NAME, and specifications name the data set NAME.
#[derive(Debug, Args)]
struct Add {
    /// What to call it
    name: String,

    /// The folder of images or arrays
    path: PathBuf,
}

impl Datasets {
    pub(super) async fn run(self) -> Result<()> {
        match self.action {
            None => list(&self.data.dir),
            #[cfg(feature = "fetch")]
            Some(Action::Fetch(fetch)) => fetch.run(&self.data.dir).await,
            Some(Action::Add(add)) => add.run(&self.data.dir),
        }
    }
}

impl Add {
    fn run(self, data: &Path) -> Result<()> {
        let info = dataset::add(&self.name, &self.path, data)?;
        let [train, val, test] = info.sizes.map(|size| thousands(size as u64));
        note(&format!(
            "added `{}`: {train} training, {val} validation and {test} test images of {}, {} classes",
            info.name,
            size(&info),
            info.classes
        ));
        Ok(())
    }
}

/// A table of all data sets.
fn list(data: &Path) -> Result<()> {
    let mut infos: Vec<Info> = dataset::all().cloned().collect();
    infos.extend(dataset::added(data)?);
    let text = |column: fn(&Info) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(infos.iter().map(column)))
    };
    let number = |column: fn(&Info) -> usize| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(infos.iter().map(|info| column(info) as i64)))
    };
    let place = |info: &Info| match dataset::locate(info, data) {
        Some(path) => path.display().to_string(),
        None if info.built_in => "built in".to_owned(),
        None => "-".to_owned(),
    };
    let places: ArrayRef = Arc::new(StringArray::from_iter_values(infos.iter().map(place)));
    let batch = RecordBatch::try_from_iter([
        ("dataset", text(|info| info.name.to_string())),
        ("image", text(size)),
        ("classes", number(|info| info.classes)),
        ("train", number(|info| info.sizes[0])),
        ("val", number(|info| info.sizes[1])),
        ("test", number(|info| info.sizes[2])),
        ("download", text(download)),
        ("licence", text(|info| info.licence.to_string())),
        ("files", places),
    ])
    .map_err(|error| Error::internal("cannot build the list").with_source(error))?;
    let mut cells = display::Cells::default();
    cells.add(&batch)?;
    print(&display::table(&batch.schema(), &cells))
}

/// `28x28` for grey images, `32x32x3` for colour.
fn size(info: &Info) -> String {
    match info.shape {
        [1, height, width] => format!("{height}x{width}"),
        [channels, height, width] => format!("{height}x{width}x{channels}"),
    }
}

fn download(info: &Info) -> String {
    match info.megabytes {
        0 => "-".to_owned(),
        megabytes => format!("{} MB", thousands(megabytes.into())),
    }
}
