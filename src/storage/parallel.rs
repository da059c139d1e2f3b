//! Work that is divided between a few threads, none of which outlives the call.

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

// More would contend for memory rather than help, and questions come several at a time.
const MAX_THREADS: usize = 8;

/// How many threads one question may use: the machine's processors, up to a few.
pub(super) fn n_threads() -> usize {
    // Asking reads half a dozen files of the system's.
    static N_PROCESSORS: LazyLock<usize> =
        LazyLock::new(|| thread::available_parallelism().map_or(1, NonZeroUsize::get));
    (*N_PROCESSORS).min(MAX_THREADS)
}

/// Does pieces `0..n` of some work, in no order, by at most `n_threads` threads; answers the results in order.
///
/// Each thread makes a state of its own first and hands it to every piece it does.
///
/// # Panics
/// When a piece panics.
pub(super) fn each<S, R: Send>(
    n: usize,
    n_threads: usize,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let run = || {
        let (mut state, mut done) = (start(), Vec::new());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= n {
                return done;
            }
            done.push((number, work(&mut state, number)));
        }
    };
    let mut done = thread::scope(|scope| {
        // This thread is one of them.
        let others: Vec<_> = (1..n_threads.min(n)).map(|_| scope.spawn(run)).collect();
        let mut done = run();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Does some work on a thread of its own.
///
/// What it took goes back to the system when that thread ends, whereas the allocator keeps the pages that a thread has
/// freed for that thread, which may have nothing to do for an hour.
///
/// # Panics
/// When the work panics.
pub(super) fn alone<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once_and_answered_in_order() {
        for (n, n_threads) in [(0, 4), (1, 4), (1_000, 1), (1_000, 4)] {
            let squares = each(
                n,
                n_threads,
                || 0,
                |n_before, number| {
                    *n_before += 1;
                    (number * number, *n_before)
                },
            );
            assert!(squares.iter().map(|(square, _)| *square).eq((0..n).map(|number| number * number)));
            let n_alone = squares.iter().map(|(_, n_before)| *n_before).max().unwrap_or(0);
            assert!(n_threads > 1 || n_alone == n, "one thread has one state");
        }
    }
}
