//! Which files have states of the same models, told by reading their keys.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use futures::{StreamExt, TryStreamExt};

use crate::scan::VectorScan;

/// Files whose keys are read at a time.
const AT_ONCE: usize = 8;

/// Files that have all states of their models between them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group<File = PartitionedFile> {
    pub(super) files: Vec<File>,
    /// Whether the states of each model come in the order of epochs, file after file.
    pub(super) in_order: bool,
    rows: usize,
}

/// What the keys of a file tell.
#[derive(Debug)]
struct Keys<File = PartitionedFile> {
    file: File,
    /// The first and the last epoch of each model.
    models: HashMap<i64, (i64, i64)>,
    /// Whether the states of each model come in the order of epochs.
    in_order: bool,
    rows: usize,
}

/// The groups of the files of `scan`, the largest first.
pub(super) async fn groups(scan: &VectorScan, context: &Arc<TaskContext>) -> Result<Vec<Group>> {
    let keys = scan.of_keys();
    let read = |file| Keys::read(&keys, file, Arc::clone(context));
    let files = futures::stream::iter(scan.files()).map(read).buffered(AT_ONCE);
    Ok(together(files.try_collect().await?))
}

impl Keys {
    /// Reads the keys of `file` by a scan of keys.
    async fn read(
        scan: &VectorScan,
        file: PartitionedFile,
        context: Arc<TaskContext>,
    ) -> Result<Self> {
        let mut batches = scan.over(vec![file.clone()]).execute(0, context)?;
        let mut keys = Self::new(file);
        while let Some(batch) = batches.try_next().await? {
            let [models, epochs] = [0, 1].map(|key| batch.column(key).as_primitive::<Int64Type>());
            keys.extend(models.values().iter().copied().zip(epochs.values().iter().copied()));
        }
        Ok(keys)
    }
}

impl<File> Keys<File> {
    fn new(file: File) -> Self {
        Self { file, models: HashMap::new(), in_order: true, rows: 0 }
    }

    /// Adds rows: `model_id` and `epoch` of each.
    fn extend(&mut self, rows: impl IntoIterator<Item = (i64, i64)>) {
        for (model_id, epoch) in rows {
            let (first, last) = self.models.entry(model_id).or_insert((epoch, i64::MIN));
            self.in_order &= *last < epoch;
            (*first, *last) = (epoch.min(*first), epoch.max(*last));
            self.rows += 1;
        }
    }

    /// The first epoch and the last.
    fn epochs(&self) -> [Option<i64>; 2] {
        let first = self.models.values().map(|(first, _)| *first).min();
        [first, self.models.values().map(|(_, last)| *last).max()]
    }
}

/// Files with states of the same models come together, also by way of others.
fn together<File>(files: Vec<Keys<File>>) -> Vec<Group<File>> {
    // Each file points to an earlier one of its group, or to itself.
    let mut earlier: Vec<usize> = (0..files.len()).collect();
    let mut first_with: HashMap<i64, usize> = HashMap::new();
    for (index, file) in files.iter().enumerate() {
        for model_id in file.models.keys() {
            let other = *first_with.entry(*model_id).or_insert(index);
            let ends = [index, other].map(|file| first_of_group(&mut earlier, file));
            earlier[ends[0].max(ends[1])] = ends[0].min(ends[1]);
        }
    }
    let mut groups: BTreeMap<usize, Vec<Keys<File>>> = BTreeMap::new();
    for (index, file) in files.into_iter().enumerate() {
        if file.rows > 0 {
            groups.entry(first_of_group(&mut earlier, index)).or_default().push(file);
        }
    }
    let mut groups: Vec<_> = groups.into_values().map(Group::of).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.rows));
    groups
}

fn first_of_group(earlier: &mut [usize], mut file: usize) -> usize {
    while earlier[file] != file {
        earlier[file] = earlier[earlier[file]];
        file = earlier[file];
    }
    file
}

impl<File> Group<File> {
    fn of(mut files: Vec<Keys<File>>) -> Self {
        files.sort_by_key(Keys::epochs);
        let mut last: HashMap<i64, i64> = HashMap::new();
        let mut go_on = |(&model_id, &(first, end)): (&i64, &(i64, i64))| {
            last.insert(model_id, end).is_none_or(|before| before < first)
        };
        let in_order = files.iter().all(|file| file.in_order && file.models.iter().all(&mut go_on));
        let rows = files.iter().map(|file| file.rows).sum();
        Self { files: files.into_iter().map(|keys| keys.file).collect(), in_order, rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(name: &'static str, rows: &[(i64, i64)]) -> Keys<&'static str> {
        let mut keys = Keys::new(name);
        keys.extend(rows.iter().copied());
        keys
    }

    fn names(groups: &[Group<&'static str>]) -> Vec<(Vec<&'static str>, bool)> {
        groups.iter().map(|group| (group.files.clone(), group.in_order)).collect()
    }

    #[test]
    fn files_of_other_models_stand_alone() {
        let groups = together(vec![
            keys("a", &[(1, 0), (2, 0), (1, 1)]),
            keys("b", &[(3, 0), (4, 0), (3, 1), (4, 1)]),
            keys("empty", &[]),
        ]);
        assert_eq!(names(&groups), [(vec!["b"], true), (vec!["a"], true)]);
    }

    #[test]
    fn files_that_share_models_come_one_after_the_other() {
        let groups = together(vec![
            keys("end", &[(1, 2), (2, 2)]),
            keys("begin", &[(1, 0), (2, 0), (1, 1)]),
            keys("other", &[(3, 0)]),
            keys("middle", &[(2, 1), (4, 1)]),
            keys("begin of 4", &[(4, 0)]),
        ]);
        let all = vec!["begin of 4", "begin", "middle", "end"];
        assert_eq!(names(&groups), [(all, true), (vec!["other"], true)]);
    }

    #[test]
    fn states_out_of_order_are_seen() {
        let unsorted = together(vec![keys("a", &[(1, 1), (1, 0)])]);
        assert_eq!(names(&unsorted), [(vec!["a"], false)]);
        let twice = together(vec![keys("a", &[(1, 0)]), keys("b", &[(1, 0)])]);
        assert_eq!(names(&twice), [(vec!["a", "b"], false)]);
        let between = together(vec![keys("a", &[(1, 0), (1, 2)]), keys("b", &[(1, 1)])]);
        assert_eq!(names(&between), [(vec!["a", "b"], false)]);
    }
}
