//! What is left of one model that is not finished.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use same_file::Handle;

use super::record::{self, Record};
use super::unwritable;
use crate::disk::create_folder;
use crate::error::{Error, Kind, Result};
use crate::train::memory::Memory;
use crate::train::state::{Metrics, State};
use crate::train::weights::{Kept, Weights};

/// A folder with the finished epochs of one model:
///
/// ```text
/// lock             held while a process works here
/// 00007.state      metrics and weights of epoch 7
/// 00007.memory     what it takes to go on after epoch 7; the last two are kept
/// ```
///
/// One process at a time works at it, for as long as this value lives.
#[derive(Debug)]
pub(in crate::train) struct Desk {
    folder: PathBuf,
    model: i64,
    engine: String,
    /// The operating system gives it back however the process ends.
    _lock: File,
}

/// What it takes to go on after an epoch, beside its weights.
#[derive(Debug, PartialEq)]
pub(in crate::train) struct Checkpoint {
    pub(in crate::train) memory: Memory,
    /// Where the streams of draws stand.
    pub(in crate::train) draws: [u128; 2],
}

/// What an earlier process left.
#[derive(Debug, Default)]
pub(in crate::train) struct Found {
    /// States 0, 1, … up to the epoch of the checkpoint; none without one.
    pub(in crate::train) states: Vec<State>,
    pub(in crate::train) checkpoint: Option<Checkpoint>,
    /// Why what lies beyond them is not used, if anything does.
    pub(in crate::train) problem: Option<Error>,
}

/// Extension of the folder that a desk is cleared in.
pub(super) const CLEARED: &str = "cleared";

#[derive(Clone, Copy)]
enum Leaf {
    State,
    Memory,
}

impl Leaf {
    fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Memory => "memory",
        }
    }
}

impl Desk {
    /// Works at the desk of a model in the folder `workplace`; both are created if need
    /// be.
    ///
    /// # Errors
    /// `Conflict` if another process works there, or has cleared it this moment.
    pub(super) fn sit_down(workplace: &Path, model: i64, engine: &str) -> Result<Self> {
        let taken = || {
            Error::new(Kind::Conflict, "another process is training it")
                .with_hint("run the same command again when it has finished")
        };
        let failed = |path: &Path, error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => taken(),
            _ => unwritable(path, error),
        };
        create_folder(workplace).map_err(|error| unwritable(workplace, error))?;
        let folder = workplace.join(model.to_string());
        create_folder(&folder).map_err(|error| failed(&folder, error))?;
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(|error| failed(&path, error))?;
        match lock.try_lock() {
            Ok(()) if is_at(&lock, &path).map_err(|error| failed(&path, error))? => {
                Ok(Self { folder, model, engine: engine.to_owned(), _lock: lock })
            }
            Ok(()) | Err(TryLockError::WouldBlock) => Err(taken()),
            Err(TryLockError::Error(error)) => Err(unwritable(&path, error)),
        }
    }

    /// Leaves a finished epoch here: `state`, whose weights then lie on disk alone.
    pub(in crate::train) fn leave(
        self: &Arc<Self>,
        state: State,
        checkpoint: &Checkpoint,
    ) -> Result<State> {
        let epoch = state.epoch;
        let weights = state.weights.read()?;
        let numbers = numbers_of(&state);
        record::write(
            &self.path(Leaf::State, epoch),
            &self.label(Leaf::State, epoch),
            &numbers,
            &[&weights],
        )?;
        let Checkpoint { memory: Memory { steps, moments }, draws } = checkpoint;
        let [dropout, augment] = draws.map(|position| [position as u64, (position >> 64) as u64]);
        let numbers = [&[*steps][..], &dropout, &augment].concat();
        let moments: Vec<&[f32]> = moments.iter().map(Vec::as_slice).collect();
        let path = self.path(Leaf::Memory, epoch);
        record::write(&path, &self.label(Leaf::Memory, epoch), &numbers, &moments)?;
        if let Some(older) = epoch.checked_sub(2) {
            // Best effort: it only takes space.
            let _ = fs::remove_file(self.path(Leaf::Memory, older));
        }
        let weights = self.kept(epoch, &weights);
        Ok(State { weights, ..state })
    }

    /// Finds what an earlier process left of the model, whose states have `size` values
    /// each. Every byte that is used has been checked.
    ///
    /// # Errors
    /// `Unavailable` if the disk does not answer: that is no reason to train again what
    /// may be whole.
    pub(in crate::train) fn find(self: &Arc<Self>, size: usize, epochs: usize) -> Result<Found> {
        let mut found = Found::default();
        // A state without its memory is from a process that was killed in between.
        let mut newest = None;
        for epoch in (0..=epochs).rev() {
            if record::exists(&self.path(Leaf::Memory, epoch))? {
                newest = Some(epoch);
                break;
            }
        }
        let Some(newest) = newest else { return Ok(found) };
        for epoch in 0..=newest {
            match answered(self.state(epoch, size))? {
                Ok(state) => found.states.push(state),
                Err(error) => {
                    found.problem = Some(error);
                    break;
                }
            }
        }
        while let Some(state) = found.states.last() {
            match answered(self.checkpoint(state.epoch))? {
                Ok(checkpoint) => {
                    found.checkpoint = Some(checkpoint);
                    break;
                }
                Err(error) => {
                    found.problem.get_or_insert(error);
                    found.states.pop();
                }
            }
        }
        Ok(found)
    }

    /// The weights of `epoch`, which was left here.
    pub(in crate::train) fn weights(&self, epoch: usize) -> Result<Vec<f32>> {
        let Record { mut vectors, .. } = self.read(Leaf::State, epoch)?;
        vectors.pop().ok_or_else(|| self.malformed(Leaf::State, epoch))
    }

    /// Clears the desk: the model is stored. Best effort, since what stays only
    /// takes space.
    pub(in crate::train) fn clear(&self) {
        // Out of the way at once: while it is emptied, another process may already work
        // in a new folder of the old name.
        let cleared = self.folder.with_extension(CLEARED);
        let _ = fs::remove_dir_all(&cleared);
        let _ = fs::rename(&self.folder, &cleared);
        let _ = fs::remove_dir_all(&cleared);
        if cfg!(windows) {
            // Which does not rename a folder with an open file.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    fn state(self: &Arc<Self>, epoch: usize, size: usize) -> Result<State> {
        let Record { numbers, vectors } = self.read(Leaf::State, epoch)?;
        match (numbers.as_slice(), vectors.as_slice()) {
            (&[train_loss, train_acc, has_val, val_loss, val_acc, test_loss, test_acc, s], [w])
                if w.len() == size =>
            {
                let metrics = |loss, accuracy| Metrics {
                    loss: f64::from_bits(loss),
                    accuracy: f64::from_bits(accuracy),
                };
                Ok(State {
                    epoch,
                    train: metrics(train_loss, train_acc),
                    val: (has_val != 0).then(|| metrics(val_loss, val_acc)),
                    test: metrics(test_loss, test_acc),
                    weights: self.kept(epoch, w),
                    seconds: f64::from_bits(s),
                })
            }
            _ => Err(self.malformed(Leaf::State, epoch)),
        }
    }

    fn checkpoint(&self, epoch: usize) -> Result<Checkpoint> {
        let Record { numbers, vectors: moments } = self.read(Leaf::Memory, epoch)?;
        match *numbers {
            [steps, low, high, augment_low, augment_high] => {
                let position = |low: u64, high: u64| u128::from(high) << 64 | u128::from(low);
                let draws = [position(low, high), position(augment_low, augment_high)];
                Ok(Checkpoint { memory: Memory { steps, moments }, draws })
            }
            _ => Err(self.malformed(Leaf::Memory, epoch)),
        }
    }

    fn read(&self, leaf: Leaf, epoch: usize) -> Result<Record> {
        record::read(&self.path(leaf, epoch), &self.label(leaf, epoch))
    }

    fn kept(self: &Arc<Self>, epoch: usize, values: &[f32]) -> Weights {
        let finite = values.iter().all(|value| value.is_finite());
        Weights::Kept(Kept { desk: Arc::clone(self), epoch, len: values.len(), finite })
    }

    fn path(&self, leaf: Leaf, epoch: usize) -> PathBuf {
        self.folder.join(format!("{epoch:05}.{}", leaf.name()))
    }

    fn label(&self, leaf: Leaf, epoch: usize) -> String {
        let Self { model, engine, .. } = self;
        format!("zoolake work 1 {} model={model} engine={engine} epoch={epoch}", leaf.name())
    }

    fn malformed(&self, leaf: Leaf, epoch: usize) -> Error {
        let path = self.path(leaf, epoch);
        Error::corrupt(format!("cannot use `{}`: it is of another architecture", path.display()))
    }
}

/// Whether `lock` is the file at `path`, and not one that was cleared away while it was
/// waited for.
fn is_at(lock: &File, path: &Path) -> io::Result<bool> {
    Ok(Handle::from_file(lock.try_clone()?)? == Handle::from_path(path)?)
}

/// What was read, or why it cannot be used, once the disk has answered.
fn answered<T>(read: Result<T>) -> Result<Result<T>> {
    match read {
        Err(error) if error.kind() == Kind::Unavailable => Err(error),
        read => Ok(read),
    }
}

/// The numbers of a state, in the order of its file.
fn numbers_of(state: &State) -> [u64; 8] {
    let Metrics { loss, accuracy } = state.val.unwrap_or(Metrics { loss: 0.0, accuracy: 0.0 });
    [
        state.train.loss.to_bits(),
        state.train.accuracy.to_bits(),
        u64::from(state.val.is_some()),
        loss.to_bits(),
        accuracy.to_bits(),
        state.test.loss.to_bits(),
        state.test.accuracy.to_bits(),
        state.seconds.to_bits(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Models half trained lie on disks: what the numbers of their files mean may never
    /// change. `record` freezes the bytes.
    #[test]
    fn the_order_of_numbers_is_frozen() {
        let workplace = tempfile::tempdir().unwrap();
        let desk = Arc::new(Desk::sit_down(workplace.path(), 7, "candle").unwrap());
        let metrics = |loss, accuracy| Metrics { loss, accuracy };
        let mut state = State {
            epoch: 0,
            train: metrics(1.0, 2.0),
            val: Some(metrics(3.0, 4.0)),
            test: metrics(5.0, 6.0),
            weights: vec![0.5, -1.0].into(),
            seconds: 7.0,
        };
        let memory = Memory { steps: 8, moments: vec![vec![9.0], vec![10.0]] };
        let checkpoint = Checkpoint { memory, draws: [11 | 12 << 64, 13 | 14 << 64] };
        for (has_val, val) in [(1, [3.0_f64, 4.0]), (0, [0.0, 0.0])] {
            let left = desk.leave(state.clone(), &checkpoint).unwrap();
            let read = |leaf: &str| {
                let label = format!("zoolake work 1 {leaf} model=7 engine=candle epoch=0");
                record::read(&workplace.path().join(format!("7/00000.{leaf}")), &label).unwrap()
            };
            let [before, val, after] =
                [&[1.0, 2.0][..], &val, &[5.0, 6.0, 7.0]].map(|n| n.iter().map(|n| n.to_bits()));
            let numbers = before.chain([has_val]).chain(val).chain(after).collect();
            assert_eq!(read("state"), Record { numbers, vectors: vec![vec![0.5, -1.0]] });
            let numbers = vec![8, 11, 12, 13, 14];
            assert_eq!(read("memory"), Record { numbers, vectors: vec![vec![9.0], vec![10.0]] });
            let found = desk.find(2, 0).unwrap();
            assert_eq!(found.states, [left]);
            assert_eq!(found.checkpoint.as_ref(), Some(&checkpoint));
            state.val = None;
        }
    }

    #[test]
    fn a_lock_that_was_cleared_away_does_not_count() {
        let workplace = tempfile::tempdir().unwrap();
        let one = Desk::sit_down(workplace.path(), 7, "").unwrap();
        let path = one.folder.join("lock");
        let waiting = File::open(&path).unwrap();
        assert!(is_at(&waiting, &path).unwrap());
        one.clear();
        assert_eq!(is_at(&waiting, &path).unwrap_err().kind(), io::ErrorKind::NotFound);
        let other = Desk::sit_down(workplace.path(), 7, "").unwrap();
        assert!(path.exists() && !is_at(&waiting, &path).unwrap());
        assert_eq!(Desk::sit_down(workplace.path(), 7, "").unwrap_err().kind(), Kind::Conflict);
        drop(other);
        assert_eq!(fs::read_dir(workplace.path()).unwrap().count(), 1, "nothing else stays");
    }

    #[test]
    fn a_desk_is_one_process_s_however_often_it_is_cleared() {
        const ROUNDS: usize = 300;
        let workplace = tempfile::tempdir().unwrap();
        let (working, worked) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        match Desk::sit_down(workplace.path(), 7, "") {
                            Ok(desk) => {
                                assert_eq!(working.fetch_add(1, Ordering::SeqCst), 0);
                                assert!(desk.folder.join("lock").exists());
                                worked.fetch_add(1, Ordering::SeqCst);
                                working.fetch_sub(1, Ordering::SeqCst);
                                desk.clear();
                            }
                            Err(error) => assert_eq!(error.kind(), Kind::Conflict, "{error}"),
                        }
                    }
                });
            }
        });
        assert!(worked.into_inner() > 0);
    }
}
