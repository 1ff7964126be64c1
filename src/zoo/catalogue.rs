//! The zoo specifications that ship with zoolake, by name (`zoos/*.toml`).

/// A specification that ships with zoolake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// What `zoolake train NAME` takes.
    pub name: &'static str,
    /// The TOML text.
    pub toml: &'static str,
}

/// Every specification that ships with zoolake.
pub fn published() -> &'static [Published] {
    &[Published { name: "digits_demo", toml: include_str!("../../zoos/digits_demo.toml") }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::Zoo;

    #[test]
    fn every_published_zoo_parses_and_is_named_like_its_file() {
        for zoo in published() {
            assert_eq!(Zoo::from_toml(zoo.toml).unwrap().name(), zoo.name);
        }
    }

    #[test]
    fn every_file_in_zoos_is_published() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/zoos");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let names: Vec<String> =
            published().iter().map(|zoo| format!("{}.toml", zoo.name)).collect();
        assert_eq!(files, names);
    }
}
