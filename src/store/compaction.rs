//! Compaction: small files merged into files of the normal size.
//!
//! Every commit writes files of its own, so a zoo that was committed model by
//! model has thousands of small ones, and a query opens them all. Merging changes
//! no row: it is a commit that removes the small files and adds the merged ones.
//! Older snapshots keep the small ones until `vacuum`.

use std::sync::Arc;

use async_trait::async_trait;

use super::Store;
use super::commit::{Draft, NewFiles, Proposal};
use super::encode::FILE_BYTES;
use super::log::DataFile;
use super::rewrite::rewrite;
use super::schema::rows_in;
use super::snapshot::Snapshot;
use crate::error::Result;

/// Bytes that are merged in one commit: what an interruption costs at most.
const COMMIT_BYTES: u64 = 1 << 30;

/// What a compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// The newest commit now.
    pub version: u64,
    /// Commits made: one for each gigabyte.
    pub commits: usize,
    /// Files merged.
    pub files_before: usize,
    /// Their bytes.
    pub bytes_before: u64,
    /// Files they were merged into.
    pub files_after: usize,
    /// Their bytes.
    pub bytes_after: u64,
}

impl Store {
    /// Merges files of less than half the normal size, as long as there are two of
    /// one table, and tells `watch` after every commit what was done so far. Takes
    /// the memory of a few files of the normal size, however large the store is.
    ///
    /// # Errors
    /// `Corrupt` if a file to merge is not as it was committed; what was merged
    /// before is kept, here as after any other failure.
    pub async fn compact(&self, watch: &(dyn Fn(&Compacted) + Sync)) -> Result<Compacted> {
        let mut writer = self.writer().await?;
        let mut done = Compacted::default();
        let proposal = Compaction { file_bytes: FILE_BYTES, commit_bytes: COMMIT_BYTES };
        while let Some(committed) = writer.propose(&proposal).await? {
            let bytes = |files: &[Arc<DataFile>]| files.iter().map(|file| file.bytes).sum::<u64>();
            done.version = committed.entry.version;
            done.commits += 1;
            done.files_before += committed.removed.len();
            done.bytes_before += bytes(&committed.removed);
            done.files_after += committed.entry.add.len();
            done.bytes_after += committed.entry.add.iter().map(|file| file.bytes).sum::<u64>();
            watch(&done);
        }
        done.version = writer.snapshot().version();
        Ok(done)
    }
}

/// Merges small files, in one commit.
struct Compaction {
    /// The normal size of a file, before encoding.
    file_bytes: usize,
    /// What is merged at most, unless a single file takes more.
    commit_bytes: u64,
}

impl Compaction {
    /// Files to merge into one each.
    fn groups(&self, snapshot: &Snapshot) -> Vec<Vec<Arc<DataFile>>> {
        let mut groups = Vec::new();
        for table in snapshot.tables() {
            // What only a later zoolake knows is left alone.
            let Some(schema) = table.schema() else { continue };
            let capacity = rows_in(self.file_bytes, &schema) as u64;
            let (mut group, mut rows) = (Vec::new(), 0);
            // Two neighbours that do not fit together fill more than half a file, so that
            // the next compaction leaves what becomes of them alone.
            for file in snapshot.files_of(&table) {
                if file.rows * 2 >= capacity {
                    continue;
                }
                if rows + file.rows > capacity {
                    groups.push(std::mem::take(&mut group));
                    rows = 0;
                }
                rows += file.rows;
                group.push(file);
            }
            groups.push(group);
        }
        let mut bytes = 0;
        groups.retain(|group| group.len() > 1);
        groups
            .into_iter()
            .take_while(|group| {
                let begun = bytes < self.commit_bytes;
                bytes += group.iter().map(|file| file.bytes).sum::<u64>();
                begun
            })
            .collect()
    }
}

#[async_trait]
impl Proposal for Compaction {
    async fn draft(&self, snapshot: &Snapshot, files: &mut NewFiles<'_>) -> Result<Option<Draft>> {
        let groups = self.groups(snapshot);
        if groups.is_empty() {
            return Ok(None);
        }
        let mut draft = Draft { operation: "compact".to_owned(), ..Draft::default() };
        for group in groups {
            let table = &group[0].table;
            if let Some(merged) =
                rewrite(files.location(), table, &group, files.encoding(), &|_| true).await?
            {
                draft.add.push(files.write(table, merged).await?);
            }
            draft.remove.extend(group.iter().map(|file| file.path.clone()));
        }
        draft.message = format!("compact: {} files into {}", draft.remove.len(), draft.add.len());
        Ok(Some(draft))
    }

    /// As long as nobody else removed a file that was merged.
    fn holds(&self, draft: &Draft, snapshot: &Snapshot) -> bool {
        draft.remove.iter().all(|path| snapshot.has_file(path))
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::{Entry, FORMAT};
    use super::super::schema::row_bytes;
    use super::super::schema::{EPOCHS, Table};
    use super::*;

    /// A snapshot with files of `epochs` of so many rows, ten bytes each.
    fn snapshot(rows: &[u64]) -> Snapshot {
        let file = |(number, &rows): (usize, &u64)| DataFile {
            table: Table::Epochs,
            path: format!("data/epochs/{number:03}.parquet"),
            rows,
            bytes: 10,
            sha256: String::new(),
            model_id: None,
            epoch: None,
        };
        let mut snapshot = Snapshot::default();
        snapshot.apply(&Entry {
            format: FORMAT,
            version: 1,
            id: String::new(),
            time: String::new(),
            writer: String::new(),
            operation: String::new(),
            message: String::new(),
            add: rows.iter().enumerate().map(file).collect(),
            remove: Vec::new(),
            models: Vec::new(),
            dropped: Vec::new(),
        });
        snapshot
    }

    /// Rows of the files that are merged, if ten rows fill a file.
    fn groups(rows: &[u64], commit_bytes: u64) -> Vec<Vec<u64>> {
        let file_bytes = 10 * row_bytes(&EPOCHS.arrow());
        let groups = Compaction { file_bytes, commit_bytes }.groups(&snapshot(rows));
        let rows = |group: &Vec<Arc<DataFile>>| group.iter().map(|file| file.rows).collect();
        groups.iter().map(rows).collect()
    }

    #[test]
    fn small_neighbours_fill_a_file() {
        assert_eq!(groups(&[1, 2, 3, 4, 9, 2], 1000), [[1, 2, 3, 4]], "9 is large, 2 alone");
        assert_eq!(groups(&[4, 4, 4, 4, 4], 1000), [[4, 4], [4, 4]]);
        assert_eq!(groups(&[10, 8, 8, 4], 1000), [[0; 0]; 0], "what is merged stays");
        assert_eq!(groups(&[5, 5], 1000), [[0; 0]; 0], "half a file is not small");
    }

    #[test]
    fn a_commit_merges_a_bounded_number_of_bytes() {
        assert_eq!(groups(&[4, 4, 4, 4, 4, 4], 20), [[4, 4]]);
        assert_eq!(groups(&[4, 4, 4, 4, 4, 4], 21), [[4, 4], [4, 4]]);
    }
}
