//! Object names, relative to the root of the store. No other file spells one.

use object_store::path::Path;

use super::schema::Table;

/// The object that makes a folder a store.
pub(super) fn format() -> Path {
    Path::from("zoolake.json")
}

/// The folder of the log.
pub(super) fn log() -> Path {
    Path::from("log")
}

/// The log entry of commit `version`. Twenty digits sort as numbers do.
pub(super) fn entry(version: u64) -> Path {
    Path::from(format!("log/{version:020}.json"))
}

/// The log folded up to commit `version`.
pub(super) fn folded(version: u64) -> Path {
    Path::from(format!("log/{version:020}.snapshot.json"))
}

/// Says that files removed by commit `version`, or before, are gone.
pub(super) fn vacuumed(version: u64) -> Path {
    Path::from(format!("log/{version:020}.vacuumed.json"))
}

/// The folder of all data files.
pub(super) fn data_folder() -> Path {
    Path::from("data")
}

/// A new data file of `table`.
pub(super) fn data(table: &Table, unique: &str) -> Path {
    Path::from(format!("data/{table}/{unique}.parquet"))
}

/// The data file at `path` of another store, copied after commit `drop` dropped models:
/// one that was copied before, and dropped, may be on the list of a vacuum by its name.
pub(super) fn copied(path: &str, drop: Option<u64>) -> Path {
    match (path.strip_suffix(".parquet"), drop) {
        (Some(stem), Some(drop)) => Path::from(format!("{stem}-{drop}.parquet")),
        _ => Path::from(path),
    }
}

/// Whether `path`, as the log has it, is that of a data file.
pub(super) fn is_data(path: &str) -> bool {
    // Parsing refuses `..`.
    path.starts_with("data/") && Path::parse(path).is_ok_and(|parsed| parsed.as_ref() == path)
}

/// The folder of models half trained, in a store on a local disk. It is no part of
/// what is committed.
pub(super) const WORK: &str = "work";

/// What an object of the log folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogObject {
    Entry(u64),
    Folded(u64),
    Vacuumed(u64),
}

/// Reads a log object's name; `None` for anything else that may lie there.
pub(super) fn parse_log(path: &Path) -> Option<LogObject> {
    let name = path.filename()?;
    let version = |digits: &str| {
        (digits.len() == 20).then(|| digits.parse().ok()).flatten().filter(|&version| version > 0)
    };
    if let Some(digits) = name.strip_suffix(".snapshot.json") {
        version(digits).map(LogObject::Folded)
    } else if let Some(digits) = name.strip_suffix(".vacuumed.json") {
        version(digits).map(LogObject::Vacuumed)
    } else {
        version(name.strip_suffix(".json")?).map(LogObject::Entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_names_read_back() {
        assert_eq!(parse_log(&entry(42)), Some(LogObject::Entry(42)));
        assert_eq!(parse_log(&folded(40)), Some(LogObject::Folded(40)));
        assert_eq!(parse_log(&vacuumed(7)), Some(LogObject::Vacuumed(7)));
        assert_eq!(parse_log(&entry(u64::MAX)), Some(LogObject::Entry(u64::MAX)));
        for foreign in ["log/notes.txt", "log/42.json", "log/00000000000000000000.json"] {
            assert_eq!(parse_log(&Path::from(foreign)), None, "{foreign}");
        }
        assert_eq!(data(&Table::Models, "u").as_ref(), "data/models/u.parquet");
        for (drop, expected) in
            [(None, "data/models/u.parquet"), (Some(7), "data/models/u-7.parquet")]
        {
            assert_eq!(copied("data/models/u.parquet", drop).as_ref(), expected);
            assert!(is_data(expected));
        }
    }
}
