//! Every single request of a writer, gone wrong in every way.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use zoolake::Kind::Unavailable;
use zoolake::store::{Location, Simulation, Store, Table, Writer};

use super::at_work::AtWork;
use super::operation::{Operation, after};
use super::service::{Fate, Kind, Passage, Service, at_once};
use super::training::train;

/// What goes wrong, and where.
#[derive(Debug, Clone, Copy)]
struct Fault {
    /// The number of the request, from 0.
    request: usize,
    fate: Fate,
    /// Whether a failed operation is tried again with a new writer, as by a process
    /// that was started again.
    new_writer: bool,
}

const FATES: [Fate; 6] = [
    Fate::Refused,
    Fate::Unanswered,
    // Before and after the operation is tried again.
    Fate::Late(3),
    Fate::Late(1000),
    Fate::Conflicting,
    Fate::Truncated,
];

/// A request and its path.
type Request = (Kind, String);

/// Requests that were made, how often their client failed, and what the store has in the
/// end: the tables of its files, their rows and their checksums.
struct Outcome {
    requests: Vec<Request>,
    failures: usize,
    contents: Vec<(Table, u64, String)>,
}

/// Lets `work` use a client of which one request goes wrong. It says how often it failed.
fn run<W>(
    objects: InMemory,
    fault: Option<Fault>,
    work: impl FnOnce(Service, Location) -> W,
) -> Outcome
where
    W: Future<Output = usize> + Send + 'static,
{
    let _simulation = Simulation::begin(1);
    let service = Service::new(objects);
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let network = move |kind: Kind, path: &Path| {
        let mut seen = seen.lock().unwrap();
        let fault = fault.filter(|fault| fault.request == seen.len());
        seen.push((kind, path.to_string()));
        let fate = fault.map_or(Fate::Answered, |fault| fault.fate);
        Passage { there: 1, fate, back: 1, shift: None }
    };
    let faulty = service.client("faulty", Box::new(network));
    let failures = Arc::new(Mutex::new(0));
    let (failed, working) = (Arc::clone(&failures), work(service.clone(), faulty));
    service.spawner.spawn(async move { *failed.lock().unwrap() = working.await });
    service.spawner.run(1);
    let store = at_once(Store::open(service.direct())).unwrap();
    assert_eq!(at_once(store.verify()).unwrap().findings, []);
    let snapshot = at_once(store.snapshot()).unwrap();
    let files = snapshot.files().map(|file| (file.table.clone(), file.rows, file.sha256.clone()));
    let mut contents: Vec<_> = files.collect();
    contents.sort_unstable();
    let requests = std::mem::take(&mut *requests.lock().unwrap());
    let failures = *failures.lock().unwrap();
    Outcome { requests, failures, contents }
}

/// Every request that `work` makes goes wrong once, in every way that it can; the store
/// has the same in the end. `recovers` says whether the caller does not hear of it, of a
/// request by its place among all.
fn every_request<W>(
    objects: &InMemory,
    work: impl Fn(Service, Location, Option<Fault>) -> W,
    recovers: impl Fn(&[Request], usize, Fate) -> bool,
) -> Vec<Request>
where
    W: Future<Output = usize> + Send + 'static,
{
    let attempt =
        |fault| run(objects.fork(), fault, |service, faulty| work(service, faulty, fault));
    let undisturbed = attempt(None);
    assert_eq!(undisturbed.failures, 0);
    let requests = &undisturbed.requests;
    for (request, (kind, path)) in requests.iter().enumerate() {
        for fate in FATES.into_iter().filter(|fate| fate.befalls(*kind)) {
            for new_writer in [false, true] {
                let fault = Fault { request, fate, new_writer };
                let outcome = attempt(Some(fault));
                assert_eq!(outcome.requests[request].0, *kind, "the same requests up to there");
                let expected = usize::from(!recovers(requests, request, fate));
                // What comes late may come before anybody looks.
                let came = matches!(fate, Fate::Late(_)) && outcome.failures == 0;
                assert!(came || outcome.failures == expected, "{fault:?}: {kind:?} {path}");
                assert_eq!(outcome.contents, undisturbed.contents, "{fault:?}: {kind:?} {path}");
            }
        }
    }
    undisturbed.requests
}

/// Tries until it succeeds, and adds to `failures`.
macro_rules! insist {
    ($failures:ident, $attempt:expr) => {
        loop {
            match $attempt.await {
                Ok(done) => break done,
                Err(error) => {
                    assert_eq!(error.kind(), Unavailable, "{error}");
                    $failures += 1;
                }
            }
        }
    };
}

#[test]
fn of_creating_a_store() {
    let create = |_: Service, faulty: Location, _: Option<Fault>| async move {
        let mut failures = 0;
        let store = insist!(failures, Store::open_or_create(faulty.clone()));
        insist!(failures, store.snapshot());
        failures
    };
    let recovers = |_: &[Request], _, fate: Fate| fate == Fate::Unanswered;
    let requests = every_request(&InMemory::new(), create, recovers);
    let kinds: Vec<Kind> = requests.iter().map(|(kind, _)| *kind).collect();
    // Looks for a store and for anything else, creates it, and looks who did; and the log.
    assert_eq!(kinds, [Kind::Get, Kind::List, Kind::PutCreate, Kind::Get, Kind::List]);
}

/// Commits: one that nobody disturbs; one that loses a race and then folds the log;
/// one that loses it to a writer of the same models; and one after that.
async fn commits(service: Service, faulty: Location, fault: Option<Fault>) -> usize {
    let mut failures = 0;
    let store = insist!(failures, Store::open(faulty.clone()));
    let mut writer: Writer = insist!(failures, store.writer());
    let mut other = Store::open(service.direct()).await.unwrap().writer().await.unwrap();
    for (others, ours) in [(17..17, 17..19), (19..20, 20..22), (22..24, 23..25), (0..0, 25..27)] {
        if !others.is_empty() {
            Operation::Commit(others).run(&store, &mut other).await.unwrap();
        }
        let ours = Operation::Commit(ours);
        while let Err(error) = ours.run(&store, &mut writer).await {
            assert_eq!(error.kind(), Unavailable, "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("run the same command again")));
            failures += 1;
            if fault.is_some_and(|fault| fault.new_writer) {
                writer = insist!(failures, store.writer());
            }
        }
        let judge = service.judge.lock().unwrap();
        assert!(ours.commits().iter().all(|model| judge.committed.contains(model)));
    }
    failures
}

/// Whether the caller of what commits does not hear of a request that went wrong.
fn unheard(requests: &[Request], place: usize, fate: Fate) -> bool {
    let (kind, path) = &requests[place];
    let created_before = place > 0 && requests[place - 1] == (Kind::PutCreate, path.clone());
    match kind {
        // What a folded log says is in the entries too.
        _ if path.ends_with(".snapshot.json") => true,
        // The entry is read back, or created once more.
        Kind::PutCreate => {
            let lost = requests.get(place + 1) == Some(&(Kind::Get, path.clone()));
            lost || matches!(fate, Fate::Unanswered | Fate::Conflicting)
        }
        // What is left behind does no harm.
        Kind::Delete => true,
        // Whose entry it is, is asked again.
        Kind::Get => created_before,
        Kind::Head | Kind::List | Kind::Put => false,
    }
}

fn count(requests: &[Request], of: Kind) -> usize {
    requests.iter().filter(|(kind, _)| *kind == of).count()
}

#[test]
fn of_commits() {
    let before = after((0..17).map(|model| Operation::Commit(model..model + 1)));
    let requests = every_request(&before, commits, unheard);
    // Models, epochs and weights of each attempt, the last one's of two architectures; two lost
    // races; the folded log.
    assert_eq!(count(&requests, Kind::Put), 3 * 5 + 1);
    assert_eq!(count(&requests, Kind::PutCreate), 4 + 2 + 1);
    assert_eq!(count(&requests, Kind::Delete), 3);
    assert!(requests.iter().any(|(_, path)| path.ends_with(".snapshot.json")));
}

/// A store on which there is something to do for every operation: models of three zoos in
/// files of several, results, and files that nobody needs.
fn busy() -> InMemory {
    let objects = after([
        Operation::Commit(0..3),
        Operation::Commit(3..5),
        Operation::Record(0..4),
        Operation::Compact,
        Operation::Commit(5..7),
        Operation::Record(2..6),
    ]);
    at_once(objects.put(&"data/models/stray.parquet".into(), "rows".into())).unwrap();
    objects
}

/// Lets every request of `operation` on the busy store go wrong. Returns how many files were
/// written and removed.
fn every_request_of(
    operation: &Operation,
    recovers: impl Fn(&[Request], usize, Fate) -> bool,
) -> (usize, usize) {
    let work = |service: Service, faulty: Location, _| {
        let operation = operation.clone();
        async move {
            // So that what is there is old enough to be removed.
            Simulation::pass(Duration::from_secs(30 * 24 * 3600));
            let mut failures = 0;
            let store = insist!(failures, Store::open(faulty.clone()));
            let mut writer = Store::open(service.direct()).await.unwrap().writer().await.unwrap();
            insist!(failures, operation.run(&store, &mut writer));
            failures
        }
    };
    let requests = every_request(&busy(), work, recovers);
    (count(&requests, Kind::Put), count(&requests, Kind::Delete))
}

#[test]
fn of_a_compaction() {
    // Models, epochs, weights of one architecture, results, predictions.
    assert_eq!(every_request_of(&Operation::Compact, unheard), (5, 0));
}

#[test]
fn of_a_drop() {
    // What is left of merged models, epochs and layouts, and of each file of predictions.
    assert_eq!(every_request_of(&Operation::Drop("colour"), unheard), (5, 0));
}

/// To a store that has some of the models, and to one that has none of them.
#[test]
fn of_copies() {
    // Models, epochs, weights of two architectures, results, predictions: layouts are there.
    for (models, files) in [(4..9, 4 + 2), (30..33, 4 + 2)] {
        let source = after([Operation::Commit(models.clone()), Operation::Record(models)]);
        let source = Operation::Copy(Location::from_objects("source", Arc::new(source)));
        assert_eq!(every_request_of(&source, unheard), (files, 0));
    }
}

#[test]
fn of_recording() {
    assert_eq!(every_request_of(&Operation::Record(1..5), unheard), (2, 0));
}

#[test]
fn of_a_vacuum() {
    // Ten files were merged, and one is of no commit.
    let vacuum = Operation::Vacuum(AtWork::default());
    assert_eq!(every_request_of(&vacuum, |_, _, _| false), (0, 11));
}

#[test]
fn of_training() {
    let work = |service: Service, faulty: Location, _| async move {
        let mut failures = 0;
        insist!(failures, train(faulty.clone()));
        // However many commits it took.
        Store::open(service.direct()).await.unwrap().compact(&|_| ()).await.unwrap();
        failures
    };
    let requests = every_request(&busy(), work, unheard);
    // Models, epochs and weights of each model.
    assert_eq!((count(&requests, Kind::Put), count(&requests, Kind::PutCreate)), (2 * 3, 2));
}
