//! Several writers and readers on two stores, with slow and failing requests, dying
//! writers and days that pass, in an order that a seed decides.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use futures::future::{Either, select};
use object_store::memory::InMemory;
use object_store::path::Path;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use zoolake::Kind as ErrorKind;
use zoolake::store::{Location, Simulation, Store};

use super::at_work::{AtWork, Shift};
use super::operation::{MODELS, Operation, ZOOS, after};
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

    /// The network of a client; of a writer, who is at work with `shift`.
    fn network(self, mut rng: ChaCha8Rng, shift: &Arc<Mutex<Option<Shift>>>) -> Network {
        let shift = Arc::clone(shift);
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
            Passage { there, fate, back, shift: shift.lock().unwrap().clone() }
        })
    }
}

/// What a writer is to do: half of it commits of a few models, in a range that overlaps
/// with those of other writers.
fn operations(rng: &mut ChaCha8Rng, other: &Location, at_work: &AtWork) -> Vec<Operation> {
    let count = rng.random_range(1..=10);
    let few = |rng: &mut ChaCha8Rng| {
        let first = rng.random_range(0..MODELS - 3);
        first..first + rng.random_range(1..=3)
    };
    let operation = |_| match rng.random_range(0..20) {
        0 => Operation::Drop(ZOOS[rng.random_range(0..ZOOS.len())].0),
        1..4 => Operation::Compact,
        4..6 => Operation::Copy(other.clone()),
        6..9 => Operation::Vacuum(at_work.clone()),
        9..12 => Operation::Record(few(rng)),
        _ => Operation::Commit(few(rng)),
    };
    (0..count).map(operation).collect()
}

/// Who writes.
struct Writer {
    location: Location,
    work: Vec<Operation>,
    weather: Weather,
    at_work: AtWork,
    /// Of the operation it is at.
    shift: Arc<Mutex<Option<Shift>>>,
}

impl Writer {
    /// Begins an operation, now and then days after the one before.
    fn begin(&self, rng: &mut ChaCha8Rng) {
        if rng.random_ratio(1, 4) {
            Simulation::pass(Duration::from_secs(3600 * rng.random_range(1..72)));
        }
        *self.shift.lock().unwrap() = Some(self.at_work.begin());
    }
}

/// Does what it has to, whatever happens, dying now and then.
async fn write(who: Writer, mut rng: ChaCha8Rng) {
    let Writer { location, work, weather, shift, .. } = &who;
    let mut done = 0;
    while done < work.len() {
        let keep_writer = rng.random_bool(0.5);
        let mut days = ChaCha8Rng::seed_from_u64(rng.random());
        let life = async {
            let store = Store::open_or_create(location.clone()).await?;
            let mut writer = store.writer().await?;
            while done < work.len() {
                who.begin(&mut days);
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
    *shift.lock().unwrap() = None;
}

/// A store that cannot be reached is told so, and is never called damaged.
fn expected(error: &zoolake::Error) {
    let kind = error.kind();
    assert!(matches!(kind, ErrorKind::Unavailable | ErrorKind::Conflict), "{kind:?}: {error}");
}

/// Opens the store again and again while somebody writes.
async fn read(service: Service, location: Location, writing: Arc<AtomicU32>, verifies: bool) {
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
                match store.verify().await {
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        let judge = service.judge.lock().unwrap();
                        assert!((seen..).any(|version| judge.is_lost(version)), "{error}");
                    }
                    verified => assert_eq!(verified?.findings, []),
                }
                return Ok(());
            }
            for version in [seen / 2, seen] {
                let read = async {
                    let earlier = store.snapshot_at(version).await?;
                    service.judge.lock().unwrap().compare(&earlier);
                    turns(100).await;
                    let files: Vec<_> = earlier.files().map(Arc::clone).collect();
                    store.first_damaged(&earlier, &files).await
                };
                match read.await {
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        assert!(service.judge.lock().unwrap().is_lost(version), "{error}");
                    }
                    damaged => assert_eq!(damaged?, None),
                }
            }
            Ok(())
        };
        if let Err(error) = read.await {
            expected(&error);
        }
        turns(50).await;
    }
}

/// A store of 38 commits: the log is folded once more before long.
static BEFORE: LazyLock<InMemory> =
    LazyLock::new(|| after((0..38).map(|model| Operation::Commit(model..model + 1))));

/// Two stores side by side, of which every other seed has one that is not empty.
fn services(seed: u64) -> [Service; 2] {
    let objects = if seed.is_multiple_of(2) { InMemory::new() } else { BEFORE.fork() };
    let first = Service::new(objects);
    let second = first.beside();
    [first, second]
}

/// The simulation of a seed, which panics if anything is wrong. How many commits there
/// were, and data files and folded logs that were vacuumed.
fn simulate(services: &[Service; 2], seed: u64) -> [u64; 3] {
    let _simulation = Simulation::begin(seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut branch = || ChaCha8Rng::seed_from_u64(rng.random());
    let mut own = branch();
    let weather = Weather::new(&mut own);
    let writers = own.random_range(2..=5);
    let (writing, at_work) = (Arc::new(AtomicU32::new(writers)), AtWork::default());
    let mut wanted = [Vec::new(), Vec::new()];
    for number in 0..writers {
        let (home, shift) = (usize::from(number % 3 == 2), Arc::default());
        let mut client = |place: usize| {
            let name = format!("writer {number} of store {place}");
            services[place].client(name, weather.network(branch(), &shift))
        };
        let (location, other) = (client(home), client(1 - home));
        let work = operations(&mut own, &other, &at_work);
        wanted[home].extend(work.clone());
        let who = Writer { location, work, weather, at_work: at_work.clone(), shift };
        let (writing, working) = (Arc::clone(&writing), write(who, branch()));
        services[home].spawner.spawn(async move {
            working.await;
            writing.fetch_sub(1, Ordering::Relaxed);
        });
    }
    for (place, service) in services.iter().enumerate() {
        for verifies in [false, true] {
            let name = if verifies { "verifier" } else { "reader" };
            let network = weather.network(branch(), &Arc::default());
            let client = service.client(format!("{name} of store {place}"), network);
            let writing = Arc::clone(&writing);
            service.spawner.spawn(read(service.clone(), client, writing, verifies));
        }
    }
    services[0].spawner.run(seed);
    let counts = services.each_ref().map(|service| {
        let judge = service.judge.lock().unwrap();
        [judge.version(), judge.vacuumed_files, judge.vacuumed_logs]
    });
    for (service, wanted) in services.iter().zip(&wanted) {
        // A copy that finds others to be faster leaves what it has sent to the next one.
        let copies = wanted.iter().any(|operation| matches!(operation, Operation::Copy(_)));
        let tidy = weather.faults == 0 && weather.life.is_none() && !copies;
        judge_in_the_end(service, wanted, tidy);
    }
    std::array::from_fn(|of| counts[0][of] + counts[1][of])
}

/// Nothing is damaged or lost, every state can be read or was vacuumed, and a vacuum
/// leaves only what is needed. A `tidy` store has no more before that.
fn judge_in_the_end(service: &Service, wanted: &[Operation], tidy: bool) {
    // Who was to create it may have died before.
    let store = at_once(Store::open_or_create(service.direct())).unwrap();
    let report = at_once(store.verify()).unwrap();
    assert_eq!(report.findings, []);
    assert!(!tidy || report.unreferenced == 0, "lost races clean up");
    {
        let judge = service.judge.lock().unwrap();
        let mut wanted = wanted.iter().flat_map(Operation::commits);
        assert!(wanted.all(|model| judge.committed.contains(&model)), "a model is lost");
    }
    let garbage = at_once(store.garbage(Duration::ZERO)).unwrap();
    at_once(store.vacuum(&garbage)).unwrap();
    let report = at_once(store.verify()).unwrap();
    assert_eq!((report.findings, report.unreferenced, report.superseded), (vec![], 0, 0));
    for version in 0..=report.version {
        let read = at_once(store.snapshot_at(version));
        let judge = service.judge.lock().unwrap();
        match read {
            Ok(snapshot) => {
                assert!(!judge.is_lost(version), "version {version} has lost files");
                judge.compare(&snapshot);
            }
            Err(error) => assert!(judge.is_lost(version), "version {version}: {error}"),
        }
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
fn explained(services: &[Service; 2], seed: u64) -> [u64; 3] {
    let outcome = catch_unwind(AssertUnwindSafe(|| simulate(services, seed)));
    let panic = match outcome {
        Ok(counts) => return counts,
        Err(panic) => panic,
    };
    let trace = services[0].trace.lock().unwrap();
    for line in trace.iter().skip(trace.len().saturating_sub(60)) {
        eprintln!("{line}");
    }
    eprintln!("seed {seed}: see it again with ZOOLAKE_SIMULATION={seed}");
    resume_unwind(panic);
}

#[test]
fn nothing_is_lost_nothing_is_twice_and_readers_see_whole_states() {
    let seeds = seeds();
    let (next, counts) = (AtomicU64::new(seeds.start), Mutex::new([0; 3]));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let of_seed = explained(&services(seed), seed);
                    let mut counts = counts.lock().unwrap();
                    counts.iter_mut().zip(of_seed).for_each(|(count, more)| *count += more);
                }
            });
        }
    });
    let [commits, files, folded] = counts.into_inner().unwrap();
    let simulations = seeds.end - seeds.start;
    println!(
        "{simulations} simulations, {commits} commits; {files} files and {folded} folded logs vacuumed"
    );
    assert!(simulations < SEEDS || (files > 0 && folded > 0), "nothing was vacuumed");
}

#[test]
fn a_seed_tells_the_same_story_again() {
    let story = |seed| {
        let services = services(seed);
        explained(&services, seed);
        services[0].trace.lock().unwrap().clone()
    };
    for seed in [3, 14, 159] {
        assert_eq!(story(seed), story(seed), "seed {seed}");
    }
}

/// The judge is no use if it never objects.
#[test]
fn a_service_that_replaces_what_it_should_only_create_is_found_out() {
    let found_out = |seed: &u64| {
        let services = services(*seed).map(|service| Service { replaces: true, ..service });
        catch_unwind(AssertUnwindSafe(|| simulate(&services, *seed))).is_err()
    };
    let found_out = (0..20).filter(found_out).count();
    assert!(found_out > 10, "{found_out} of 20");
}
