//! Who is next: tasks on one thread, each with a speed of its own, in an order
//! that a seed decides.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures::future::BoxFuture;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Turns after which something is wrong: a run takes some thousands.
const TOO_MANY_TURNS: u32 = 10_000_000;

/// Adds tasks to a schedule, from within its tasks too.
#[derive(Clone, Default)]
pub(super) struct Spawner(Arc<Mutex<Vec<BoxFuture<'static, ()>>>>);

impl Spawner {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap().push(Box::pin(task));
    }

    /// Runs all tasks to their end.
    pub(super) fn run(&self, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut tasks: Vec<(u32, BoxFuture<'static, ()>)> = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        for turn in 0.. {
            assert!(turn < TOO_MANY_TURNS, "no end after {turn} turns");
            let new = std::mem::take(&mut *self.0.lock().unwrap());
            tasks.extend(new.into_iter().map(|task| (1 + rng.next_u32() % 8, task)));
            let speeds: u32 = tasks.iter().map(|(speed, _)| speed).sum();
            if speeds == 0 {
                return;
            }
            let mut place = rng.next_u32() % speeds;
            let next = tasks.iter().position(|(speed, _)| {
                let is_next = place < *speed;
                place = place.saturating_sub(*speed);
                is_next
            });
            let next = next.unwrap();
            if tasks[next].1.as_mut().poll(&mut context).is_ready() {
                drop(tasks.swap_remove(next));
            }
        }
    }
}

/// Lets others have so many turns.
pub(super) async fn turns(mut count: u32) {
    poll_fn(|context| {
        if count == 0 {
            return Poll::Ready(());
        }
        count -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
