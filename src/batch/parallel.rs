//! Spreads independent work over the cores, and keeps the answers in order.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many threads the work is spread over: one per core.
pub fn n_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Applies `work` to each of `items` on every core; answers stand in the order of the items.
///
/// `done` is told after each item, from whichever thread did it. Items are handed out one by one, so that a few
/// expensive series do not leave the other cores idle.
pub fn spread<T, R, F, D>(items: Vec<T>, work: F, done: D) -> Vec<R>
where
    T: Send,
    R: Send,
    F: Fn(T) -> R + Sync,
    D: Fn() + Sync,
{
    let n_items = items.len();
    let slots: Vec<Mutex<Option<T>>> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
    let answers: Vec<Mutex<Option<R>>> = (0..n_items).map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let run = || {
        loop {
            let idx = next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = slots.get(idx) else { return };
            let item = slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            if let Some(item) = item {
                let answer = work(item);
                *answers[idx].lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(answer);
                done();
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..n_workers().min(n_items) {
            scope.spawn(run);
        }
        run();
    });
    answers
        .into_iter()
        .filter_map(|slot| slot.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_stand_in_order_and_every_item_is_told() {
        let n_done = AtomicUsize::new(0);
        let squares = spread(
            (0..1000u64).collect(),
            |n| n * n,
            || {
                n_done.fetch_add(1, Ordering::Relaxed);
            },
        );
        assert_eq!(squares, (0..1000u64).map(|n| n * n).collect::<Vec<_>>());
        assert_eq!(n_done.into_inner(), 1000);
        assert!(spread(Vec::<u8>::new(), |n| n, || ()).is_empty());
    }
}
