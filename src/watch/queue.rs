//! The way from ingestion to scoring: bounded, and never a reason to wait.
//!
//! When it is full, samples are not queued any more until the scoring thread has read from the store what is missing;
//! only their time range is noted. So a sample that waits is never overtaken by a later one of its series.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::series::{Batch, Millis};

/// Samples that found the queue full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    /// The oldest timestamp.
    pub first: Millis,
    /// The newest timestamp.
    pub last: Millis,
    /// How many.
    pub n: u64,
}

/// What there is to do.
#[derive(Debug)]
pub(super) enum Work {
    /// Batches in the order of their arrival.
    Batches(Vec<Batch>),
    /// Samples that must be read from the store.
    CatchUp(Missed),
    /// Nothing within the time-out.
    Nothing,
    /// Nothing any more: the loop is stopping and everything was handed out.
    Stopped,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    n_samples: usize,
    missed: Option<Missed>,
    is_stopping: bool,
}

/// Batches that wait to be scored.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    limit: usize,
}

impl Queue {
    /// A queue for `limit` samples.
    pub fn new(limit: usize) -> Queue {
        Queue { state: Mutex::default(), filled: Condvar::new(), limit }
    }

    /// Queues the batch, or notes how many of its samples must be read back.
    pub fn push(&self, batch: &Batch) -> u64 {
        if batch.is_empty() {
            return 0;
        }
        let mut state = self.state.lock();
        if state.missed.is_none() && (state.n_samples + batch.len() <= self.limit || state.batches.is_empty()) {
            state.n_samples += batch.len();
            state.batches.push_back(batch.clone());
            drop(state);
            self.filled.notify_one();
            return 0;
        }
        let at = &batch.columns().at;
        let (first, last) =
            at.iter().fold((Millis::MAX, Millis::MIN), |(first, last), at| (first.min(*at), last.max(*at)));
        let n = batch.len() as u64;
        let missed = state.missed.get_or_insert(Missed { first, last, n: 0 });
        *missed = Missed { first: missed.first.min(first), last: missed.last.max(last), n: missed.n + n };
        n
    }

    /// The next batches, `most` samples or one batch; waits up to `timeout`.
    pub fn take(&self, most: usize, timeout: Duration) -> Work {
        let mut state = self.state.lock();
        if state.batches.is_empty() && state.missed.is_none() && !state.is_stopping {
            self.filled.wait_for(&mut state, timeout);
        }
        if state.batches.is_empty() {
            // What comes from now on is queued again; what the store answers may hold some of it twice, which the
            // timestamps tell.
            return match state.missed.take() {
                Some(missed) => Work::CatchUp(missed),
                None if state.is_stopping => Work::Stopped,
                None => Work::Nothing,
            };
        }
        let mut taken = Vec::new();
        let mut n = 0;
        while let Some(batch) = state.batches.pop_front() {
            n += batch.len();
            taken.push(batch);
            if state.batches.front().is_none_or(|next| n + next.len() > most) {
                break;
            }
        }
        state.n_samples -= n;
        Work::Batches(taken)
    }

    /// How many samples wait.
    pub fn len(&self) -> usize {
        self.state.lock().n_samples
    }

    /// Hands out what waits, then says that it is over.
    pub fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.filled.notify_all();
    }

    /// Whether [`stop`](Queue::stop) was called.
    pub fn is_stopping(&self) -> bool {
        self.state.lock().is_stopping
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Key, Sample};

    fn batch(from: Millis, n: i64) -> Batch {
        let key = Key::from_pairs("a", &[]).unwrap();
        Batch::from_samples((0..n).map(|i| (key.clone(), Sample { at: from + i, value: 0.0 })))
    }

    #[test]
    fn an_overflow_is_noted_and_nothing_overtakes_it() {
        let queue = Queue::new(10);
        assert_eq!(queue.push(&batch(0, 6)), 0);
        assert_eq!(queue.push(&batch(6, 6)), 6);
        assert_eq!(queue.push(&batch(12, 1)), 1, "a batch that would fit must not overtake");
        assert!(matches!(queue.take(100, Duration::ZERO), Work::Batches(batches) if batches.len() == 1));
        let Work::CatchUp(missed) = queue.take(100, Duration::ZERO) else { panic!("missed samples are handed out") };
        assert_eq!(missed, Missed { first: 6, last: 12, n: 7 });
        assert_eq!(queue.push(&batch(20, 6)), 0);
        queue.stop();
        assert!(matches!(queue.take(100, Duration::ZERO), Work::Batches(_)));
        assert!(matches!(queue.take(100, Duration::ZERO), Work::Stopped));
    }

    #[test]
    fn a_batch_larger_than_the_queue_gets_through() {
        let queue = Queue::new(1);
        assert_eq!(queue.push(&batch(0, 5)), 0);
        assert!(matches!(queue.take(1, Duration::ZERO), Work::Batches(batches) if batches[0].len() == 5));
        assert!(matches!(queue.take(1, Duration::ZERO), Work::Nothing));
    }
}
