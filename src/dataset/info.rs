//! What there is to know about a data set without reading its images.
//!
//! Owns the kinds of facts; the facts stand with each reader.

use std::borrow::Cow;

/// What there is to know about a data set without loading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Name in specs and in the `dataset` column.
    pub name: Cow<'static, str>,
    /// One line for people.
    pub title: Cow<'static, str>,
    /// Channels, height and width of an image as distributed.
    pub shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Whether it comes with zoolake; otherwise it is read from a folder.
    pub built_in: bool,
    /// What it is read from: for each file or folder, the names it may have.
    pub files: &'static [&'static [&'static str]],
    /// Folders the files may lie in, below the data folder and besides it and the
    /// folder inside it that bears the data set's name.
    pub folders: &'static [&'static str],
    /// Number of training, validation and test images.
    pub sizes: [usize; 3],
    /// The licence of the images, as far as their source says.
    pub licence: Cow<'static, str>,
    /// Where it comes from.
    pub source: Cow<'static, str>,
    /// The official files, to be fetched into the folder named after the data
    /// set, or after [`Info::home`].
    pub downloads: &'static [Download],
    /// The folder its files are kept in; data sets that are one set of files,
    /// prepared differently, share it.
    pub home: Cow<'static, str>,
    /// About how much there is to download, in units of 10^6 bytes.
    pub megabytes: u32,
}

/// One official file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Download {
    /// Its name.
    pub file: &'static str,
    /// The folders it is in, each ending in `/`, the preferred one first.
    pub folders: &'static [&'static str],
    /// Its MD5 in hexadecimal, as its publisher or torchvision gives it.
    pub md5: &'static str,
}
