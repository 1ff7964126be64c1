//! Several writers and readers on one store, with slow and failing requests and
//! dying writers, in an order that a seed decides.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use futures::future::{Either, select};
use object_store::memory::InMemory;
use object_store::path::Path;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use zoolake::Kind as ErrorKind;
use zoolake::store::{Location, Simulation, Store};

use super::operation::{MODELS, Operation};
use super::schedule::turns;
use super::service::{Fate, Kind, Network, Passage, Service, at_once};

/// Seeds if nothing else is said: some seconds on one core.
const SEEDS: u64 = 300;

/// How rough it is.
#[derive(Debug, Clone, Copy)]
struct Weather {
    /// Of so many requests in a hundred something becomes that should not.
    faults: u32,
    /// Turns that a request takes on each way, at most.
    delay: u32,
    /// A writer dies within so many turns, if at all.
    life: Option<u32>,
}

impl Weather {
    fn new(rng: &mut ChaCha8Rng) -> Self {
        let delay = [0, 2, 20][rng.random_range(0..3)];
        // From the time of a commit to that of many.
        let lives = [None, Some(40 * (1 + delay)), Some(400 * (1 + delay))];
        Self {
            faults: [0, 3, 15][rng.random_range(0..3)],
            delay,
            life: lives[rng.random_range(0..lives.len())],
        }
    }

    fn network(self, mut rng: ChaCha8Rng) -> Network {
        Box::new(move |kind: Kind, _: &Path| {
            let fates = [
                Fate::Refused,
                Fate::Unanswered,
                Fate::Late(rng.random_range(0..500)),
                Fate::Conflicting,
                Fate::Truncated,
            ];
            let fate = match fates[rng.random_range(0..fates.len())] {
                fate if rng.random_range(0..100) < self.faults && fate.befalls(kind) => fate,
                _ => Fate::Answered,
            };
            let (there, back) =
                (rng.random_range(0..=self.delay), rng.random_range(0..=self.delay));
            Passage { there, fate, back }
        })
    }
}

/// What a writer is to do: most of it commits of a few models, in a range that overlaps
/// with those of other writers.
fn operations(rng: &mut ChaCha8Rng) -> Vec<Operation> {
    let count = rng.random_range(1..=10);
    let operation = |_| match rng.random_range(0..20) {
        0 => Operation::Drop,
        1..4 => Operation::Compact,
        _ => {
            let first = rng.random_range(0..MODELS - 3);
            Operation::Commit(first..first + rng.random_range(1..=3))
        }
    };
    (0..count).map(operation).collect()
}

/// Does what it has to, whatever happens, dying now and then.
async fn writer(location: Location, work: Vec<Operation>, weather: Weather, mut rng: ChaCha8Rng) {
    let mut done = 0;
    while done < work.len() {
        let keep_writer = rng.random_bool(0.5);
        let life = async {
            let store = Store::open_or_create(location.clone()).await?;
            let mut writer = store.writer().await?;
            while done < work.len() {
                match work[done].run(&store, &mut writer).await {
                    Ok(()) => done += 1,
                    Err(error) if keep_writer => {
                        expected(&error);
                        done += usize::from(!work[done].insists());
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        let death = match weather.life {
            Some(turns_at_most) => rng.random_range(0..turns_at_most),
            None => u32::MAX,
        };
        if let Either::Left((Err(error), _)) =
            select(std::pin::pin!(life), std::pin::pin!(turns(death))).await
        {
            expected(&error);
        }
        done += usize::from(work.get(done).is_some_and(|begun| !begun.insists()));
    }
}

/// A store that cannot be reached is told so, and is never called damaged.
fn expected(error: &zoolake::Error) {
    let kind = error.kind();
    assert!(matches!(kind, ErrorKind::Unavailable | ErrorKind::Conflict), "{kind:?}: {error}");
}

/// Opens the store again and again while somebody writes.
async fn reader(service: Service, location: Location, writing: Arc<AtomicU32>, verifies: bool) {
    let mut seen = 0;
    while writing.load(Ordering::Relaxed) > 0 {
        let before = service.judge.lock().unwrap().version();
        let read = async {
            let Some(store) = Store::open_if_any(location.clone()).await? else { return Ok(()) };
            let snapshot = store.snapshot().await?;
            {
                let judge = service.judge.lock().unwrap();
                judge.compare(&snapshot);
                let version = snapshot.version();
                assert!((before..=judge.version()).contains(&version), "{version} is not now");
                assert!(version >= seen, "{version} was seen after {seen}");
                seen = version;
            }
            if verifies {
                assert_eq!(store.verify().await?.findings, []);
            } else {
                let earlier = store.snapshot_at(seen / 2).await?;
                service.judge.lock().unwrap().compare(&earlier);
            }
            Ok(())
        };
        if let Err(error) = read.await {
            expected(&error);
        }
        turns(50).await;
    }
}

/// The simulation of a seed, which panics if anything is wrong.
fn simulate(service: &Service, seed: u64) {
    let _simulation = Simulation::begin(seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut branch = || ChaCha8Rng::seed_from_u64(rng.random());
    let mut own = branch();
    let weather = Weather::new(&mut own);
    let writers = own.random_range(2..=4);
    let writing = Arc::new(AtomicU32::new(writers));
    let mut wanted = Vec::new();
    for number in 0..writers {
        let client = service.client(format!("writer {number}"), weather.network(branch()));
        let work = operations(&mut own);
        wanted.extend(work.iter().flat_map(Operation::commits));
        let (writing, working) = (Arc::clone(&writing), writer(client, work, weather, branch()));
        service.spawner.spawn(async move {
            working.await;
            writing.fetch_sub(1, Ordering::Relaxed);
        });
    }
    for (number, verifies) in [false, true].into_iter().enumerate() {
        let client = service.client(format!("reader {number}"), weather.network(branch()));
        let writing = Arc::clone(&writing);
        service.spawner.spawn(reader(service.clone(), client, writing, verifies));
    }
    service.spawner.run(seed);

    let store = at_once(Store::open(service.direct())).unwrap();
    let report = at_once(store.verify()).unwrap();
    assert_eq!(report.findings, []);
    let judge = service.judge.lock().unwrap();
    assert!(wanted.iter().all(|model| judge.committed.contains(model)), "a model is lost");
    if weather.faults == 0 && weather.life.is_none() {
        assert_eq!(report.unreferenced, 0, "lost races clean up");
    }
}

/// The seeds that `ZOOLAKE_SIMULATION` names: `7` is one, `0..5000` are many.
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("ZOOLAKE_SIMULATION") else { return 0..SEEDS };
    let number = |text: &str| text.parse::<u64>().unwrap();
    match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(&text)..number(&text) + 1,
    }
}

/// The same, and what led to the panic.
#[expect(clippy::print_stderr, reason = "what led to a failure")]
fn explained(service: &Service, seed: u64) {
    let outcome = catch_unwind(AssertUnwindSafe(|| simulate(service, seed)));
    let Err(panic) = outcome else { return };
    let trace = service.trace.lock().unwrap();
    for line in trace.iter().skip(trace.len().saturating_sub(60)) {
        eprintln!("{line}");
    }
    eprintln!("seed {seed}: see it again with ZOOLAKE_SIMULATION={seed}");
    resume_unwind(panic);
}

#[test]
fn nothing_is_lost_nothing_is_twice_and_readers_see_whole_states() {
    let seeds = seeds();
    let (next, commits) = (AtomicU64::new(seeds.start), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let service = Service::new(InMemory::new());
                    explained(&service, seed);
                    let version = service.judge.lock().unwrap().version();
                    commits.fetch_add(version, Ordering::Relaxed);
                }
            });
        }
    });
    println!("{} simulations, {} commits", seeds.end - seeds.start, commits.into_inner());
}

#[test]
fn a_seed_tells_the_same_story_again() {
    let story = |seed| {
        let service = Service::new(InMemory::new());
        explained(&service, seed);
        service.trace.lock().unwrap().clone()
    };
    for seed in [3, 14, 159] {
        assert_eq!(story(seed), story(seed), "seed {seed}");
    }
}

/// The judge is no use if it never objects.
#[test]
fn a_service_that_replaces_what_it_should_only_create_is_found_out() {
    let found_out = |seed: &u64| {
        let service = Service { replaces: true, ..Service::new(InMemory::new()) };
        catch_unwind(AssertUnwindSafe(|| simulate(&service, *seed))).is_err()
    };
    let found_out = (0..20).filter(found_out).count();
    assert!(found_out > 10, "{found_out} of 20");
}
