//! Every single request of a writer, gone wrong in every way.

use std::sync::{Arc, LazyLock, Mutex};

use object_store::memory::InMemory;
use object_store::path::Path;
use zoolake::Kind::Unavailable;
use zoolake::store::{Location, Simulation, Store, Writer};

use super::operation::Operation;
use super::service::{Fate, Kind, Passage, Service, at_once};

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

/// A store with 17 commits.
static BEFORE: LazyLock<InMemory> = LazyLock::new(|| {
    let objects = Arc::new(InMemory::new());
    let location = Location::from_objects("before", Arc::clone(&objects) as _);
    at_once(async {
        let store = Store::open_or_create(location).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        for model in 0..17 {
            Operation::Commit(model..model + 1).run(&store, &mut writer).await.unwrap();
        }
    });
    objects.fork()
});

/// A request and its path.
type Request = (Kind, String);

/// Requests that were made, and what must have come of the one that went wrong.
struct Outcome {
    requests: Vec<Request>,
    failures: usize,
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
    let report = at_once(async { Store::open(service.direct()).await?.verify().await }).unwrap();
    assert_eq!(report.findings, []);
    let requests = std::mem::take(&mut *requests.lock().unwrap());
    let failures = *failures.lock().unwrap();
    Outcome { requests, failures }
}

/// Every request that `work` makes goes wrong once, in every way that it can.
/// `recovers` says whether the caller does not hear of it, of a request by its
/// place among all.
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
    let requests = undisturbed.requests;
    for (request, (kind, path)) in requests.iter().enumerate() {
        for fate in FATES.into_iter().filter(|fate| fate.befalls(*kind)) {
            for new_writer in [false, true] {
                let fault = Fault { request, fate, new_writer };
                let outcome = attempt(Some(fault));
                assert_eq!(outcome.requests[request].0, *kind, "the same requests up to there");
                let expected = usize::from(!recovers(&requests, request, fate));
                // What comes late may come before anybody looks.
                let came = matches!(fate, Fate::Late(_)) && outcome.failures == 0;
                assert!(came || outcome.failures == expected, "{fault:?}: {kind:?} {path}");
            }
        }
    }
    requests
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

fn created_before(requests: &[Request], place: usize, path: &str) -> bool {
    place > 0 && requests[place - 1] == (Kind::PutCreate, path.to_owned())
}

#[test]
fn of_commits() {
    let recovers = |requests: &[Request], place: usize, fate: Fate| match &requests[place] {
        // What a folded log says is in the entries too.
        (_, path) if path.ends_with(".snapshot.json") => true,
        // The entry is read back, or created once more.
        (Kind::PutCreate, path) => {
            let lost = requests.get(place + 1) == Some(&(Kind::Get, path.clone()));
            lost || matches!(fate, Fate::Unanswered | Fate::Conflicting)
        }
        // What is left behind does no harm.
        (Kind::Delete, _) => true,
        // Whose entry it is, is asked again.
        (Kind::Get, path) if created_before(requests, place, path) => true,
        (Kind::Get | Kind::List | Kind::Put, _) => false,
    };
    let requests = every_request(&BEFORE, commits, recovers);
    let count = |of: Kind| requests.iter().filter(|(kind, _)| *kind == of).count();
    // Models, epochs and weights of each attempt, the last one's of two architectures; two lost
    // races; the folded log.
    assert_eq!(count(Kind::Put), 3 * 5 + 1);
    assert_eq!(count(Kind::PutCreate), 4 + 2 + 1);
    assert_eq!(count(Kind::Delete), 3);
    assert!(requests.iter().any(|(_, path)| path.ends_with(".snapshot.json")));
}
