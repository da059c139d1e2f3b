//! The way from ingestion to scoring: bounded, and never a reason to wait.
//!
//! When it is full, samples are not queued any more until the scoring thread has read from the store what is missing;
//! only their time range is noted. So a sample that waits is never overtaken by a later one of its series.
//!
//! A queue that has just overflowed is a flood: ingestion needs the machine more than scoring does, which works less
//! then, and reads nothing back until the flood is over or has lasted a minute.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::series::{Batch, Millis};

/// For so long after an overflow it is a flood.
const FLOOD: Duration = Duration::from_secs(2);
/// For so long at most what was missed waits for the flood to end.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// When the queue last overflowed, or would have.
#[derive(Debug, Default)]
struct Overflow {
    last: Option<Instant>,
    /// While samples are missed none is queued: since when they are counted instead, and how many came.
    counted: Option<(Instant, usize)>,
}

impl Overflow {
    /// The queue is full.
    fn happened(&mut self, now: Instant) {
        self.last = Some(now);
        self.counted = None;
    }

    /// `n` samples were missed only because others were before: an overflow when so many come within [`FLOOD`] as
    /// the queue holds.
    fn count(&mut self, n: usize, limit: usize, now: Instant) {
        let (since, before) = self.counted.filter(|(since, _)| now.duration_since(*since) < FLOOD).unwrap_or((now, 0));
        self.counted = Some((since, before + n));
        if before + n > limit {
            self.happened(now);
        }
    }

    fn is_flood(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.duration_since(last) < FLOOD)
    }
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    n_samples: usize,
    missed: Option<Missed>,
    missed_since: Option<Instant>,
    overflow: Overflow,
    is_stopping: bool,
}

impl State {
    /// What must be read from the store, when it is time for that.
    fn take_missed(&mut self, now: Instant) -> Option<Missed> {
        let has_waited = self.missed_since.is_some_and(|since| now.duration_since(since) >= PATIENCE);
        if self.overflow.is_flood(now) && !has_waited && !self.is_stopping {
            return None;
        }
        self.missed_since = None;
        self.missed.take()
    }
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
    pub fn push(&self, batch: Batch, now: Instant) -> u64 {
        if batch.is_empty() {
            return 0;
        }
        let mut state = self.state.lock();
        let has_room = state.n_samples + batch.len() <= self.limit || state.batches.is_empty();
        if state.missed.is_none() && has_room {
            state.n_samples += batch.len();
            state.batches.push_back(batch);
            drop(state);
            self.filled.notify_one();
            return 0;
        }
        if has_room {
            state.overflow.count(batch.len(), self.limit, now);
        } else {
            state.overflow.happened(now);
        }
        let at = &batch.columns().at;
        let (first, last) =
            at.iter().fold((Millis::MAX, Millis::MIN), |(first, last), at| (first.min(*at), last.max(*at)));
        let n = batch.len() as u64;
        let missed = state.missed.get_or_insert(Missed { first, last, n: 0 });
        *missed = Missed { first: missed.first.min(first), last: missed.last.max(last), n: missed.n + n };
        state.missed_since.get_or_insert(now);
        n
    }

    /// The next batches, `most` samples or one batch; waits up to `timeout`.
    pub fn take(&self, most: usize, timeout: Duration) -> Work {
        let mut state = self.state.lock();
        let has_no_work = state.missed.is_none() || state.overflow.is_flood(Instant::now());
        if state.batches.is_empty() && has_no_work && !state.is_stopping {
            self.filled.wait_for(&mut state, timeout);
        }
        if state.batches.is_empty() {
            // What comes from now on is queued again; what the store answers may hold some of it twice, which the
            // timestamps tell.
            return match state.take_missed(Instant::now()) {
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

    /// Whether samples come faster than they can be scored.
    pub fn is_flooded(&self) -> bool {
        self.state.lock().overflow.is_flood(Instant::now())
    }

    /// How many samples wait.
    pub fn len(&self) -> usize {
        self.state.lock().n_samples
    }

    /// Bytes of memory that they take.
    pub fn n_bytes(&self) -> usize {
        self.state.lock().batches.iter().map(Batch::n_bytes).sum()
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
        let now = long_ago();
        assert_eq!(queue.push(batch(0, 6), now), 0);
        assert_eq!(queue.push(batch(6, 6), now), 6);
        assert_eq!(queue.push(batch(12, 1), now), 1, "a batch that would fit must not overtake");
        assert!(matches!(queue.take(100, Duration::ZERO), Work::Batches(batches) if batches.len() == 1));
        let Work::CatchUp(missed) = queue.take(100, Duration::ZERO) else { panic!("missed samples are handed out") };
        assert_eq!(missed, Missed { first: 6, last: 12, n: 7 });
        assert_eq!(queue.push(batch(20, 6), now), 0);
        queue.stop();
        assert!(matches!(queue.take(100, Duration::ZERO), Work::Batches(_)));
        assert!(matches!(queue.take(100, Duration::ZERO), Work::Stopped));
    }

    #[test]
    fn a_batch_larger_than_the_queue_gets_through() {
        let queue = Queue::new(1);
        let now = Instant::now();
        assert_eq!(queue.push(batch(0, 5), now), 0);
        assert!(matches!(queue.take(1, Duration::ZERO), Work::Batches(batches) if batches[0].len() == 5));
        assert!(matches!(queue.take(1, Duration::ZERO), Work::Nothing));
    }

    /// Before any flood that could still last.
    fn long_ago() -> Instant {
        Instant::now() - PATIENCE
    }

    #[test]
    fn what_was_missed_waits_for_the_flood_to_end() {
        let queue = Queue::new(10);
        let now = Instant::now();
        queue.push(batch(0, 8), now);
        queue.push(batch(8, 8), now);
        assert!(queue.is_flooded());
        assert!(matches!(queue.take(100, Duration::ZERO), Work::Batches(_)));
        assert!(matches!(queue.take(100, Duration::ZERO), Work::Nothing));
        let mut state = queue.state.lock();
        assert_eq!(state.take_missed(now + FLOOD - Duration::from_millis(1)), None);
        assert_eq!(state.take_missed(now + FLOOD).map(|missed| missed.n), Some(8));
    }

    #[test]
    fn a_flood_without_end_is_caught_up_with_each_minute() {
        let queue = Queue::new(10);
        let began = Instant::now();
        queue.push(batch(0, 8), began);
        let mut n_caught_up = 0;
        for second in 0..150 {
            let now = began + Duration::from_secs(second);
            // The queue is never emptied, and so is always full.
            queue.push(batch(8, 8), now);
            n_caught_up += usize::from(queue.state.lock().take_missed(now).is_some());
        }
        assert_eq!(n_caught_up, 2);
    }

    #[test]
    fn a_trickle_after_an_overflow_is_no_flood() {
        let (mut overflow, began) = (Overflow::default(), Instant::now());
        overflow.happened(began);
        for tenth in 1..100 {
            overflow.count(40, 1_000, began + Duration::from_millis(100 * tenth));
        }
        assert!(!overflow.is_flood(began + FLOOD));
        for tenth in 100..200 {
            overflow.count(60, 1_000, began + Duration::from_millis(100 * tenth));
        }
        assert!(overflow.is_flood(began + Duration::from_secs(20)));
    }
}
