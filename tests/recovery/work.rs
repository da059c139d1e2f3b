//! What the process does that is killed: writes, deletes and reads while blocks are flushed, merged and retired.
//!
//! Everything it was told is said on standard error, a line each, in one write: a line is there whole or not at all.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use barograph::series::{Batch, DAY, Key, MINUTE, MatchOp, Matcher, Millis, Sample, Selector, TimeRange};
use barograph::storage::{Store, StoreSettings};

pub const N_THREADS: usize = 4;
pub const N_SERIES: usize = 5;
/// Series from this one on are those that deletes mean.
pub const FIRST_DELETED: usize = 3;
const STEP: Millis = MINUTE;
// Two batches of three are late; the odd millisecond keeps every batch at a time of its own.
const LATE: Millis = 45 * MINUTE + 1;
const BATCHES_PER_DELETE: i64 = 40;

/// So small that flushes, new segments and merges happen all the time.
pub fn settings() -> StoreSettings {
    StoreSettings { flush_samples: 400, segment_size: 8 << 10, max_blocks_per_day: 3, ..StoreSettings::default() }
}

/// With retention: by size in one round of four, by age in the others; with tiers in every second.
pub fn settings_of(round: usize) -> StoreSettings {
    let (retention, retention_size) = if round % 4 == 1 { (None, Some(12 << 10)) } else { (Some(DAY), None) };
    let keep = |span| (round % 2 == 1).then_some(span);
    StoreSettings {
        retention,
        retention_size,
        retention_5m: keep(100 * DAY),
        retention_1h: keep(500 * DAY),
        ..settings()
    }
}

/// When batch `number` is from.
pub fn at(number: i64) -> Millis {
    number * STEP - (number % 3) * LATE
}

/// The batches that may be from `start` to `end`.
pub fn numbers(start: Millis, end: Millis) -> impl Iterator<Item = i64> {
    (start / STEP..=(end + 2 * LATE) / STEP + 1).filter(move |number| (start..end).contains(&at(*number)))
}

/// Batch `number` of a thread: one sample of each of its series.
pub fn batch(thread: usize, number: i64) -> Batch {
    let sample = Sample { at: at(number), value: number as f64 };
    Batch::from_samples((0..N_SERIES).map(|series| {
        let labels = [("thread", thread.to_string()), ("series", series.to_string())];
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
        (Key::from_pairs("work", &labels).unwrap(), sample)
    }))
}

fn say(line: &str) {
    // Straight into the pipe: what waits in a buffer when the kill comes was never told.
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Works until it is killed; batches from number `first` on.
pub fn run(dir: &Path, first: i64, round: usize) {
    // Retention says in the log what it takes, before it does.
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).without_time().init();
    let store = Arc::new(Store::open(dir, settings_of(round)).unwrap());
    let merger = Arc::clone(&store);
    thread::spawn(move || {
        loop {
            merger.compact().unwrap();
            thread::sleep(Duration::from_millis(5));
        }
    });
    let reader = Arc::clone(&store);
    thread::spawn(move || {
        loop {
            reader.select(&Selector::metric("work"), TimeRange::ALL).unwrap();
            thread::sleep(Duration::from_millis(20));
        }
    });
    let work = |thread: usize| {
        let store = Arc::clone(&store);
        thread::spawn(move || {
            for number in first.. {
                let appended = store.append(&batch(thread, number)).unwrap();
                assert_eq!((appended.n_accepted, appended.rejected.len()), (N_SERIES, 0));
                say(&format!("ack {thread} {number}"));
                if number % BATCHES_PER_DELETE == 10 * thread as i64 {
                    delete(&store, thread, number);
                }
            }
        })
    };
    let writers: Vec<_> = (0..N_THREADS).map(work).collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
}

/// Deletes some of the thread's own series, of what it was told was stored up to batch `last`.
fn delete(store: &Store, thread: usize, last: i64) {
    let mut selector = Selector::metric("work");
    selector.matchers.push(Matcher::new("thread", MatchOp::Equal, thread.to_string()).unwrap());
    let series: Vec<String> = (FIRST_DELETED..N_SERIES).map(|series| series.to_string()).collect();
    selector.matchers.push(Matcher::new("series", MatchOp::Regex, series.join("|")).unwrap());
    let (start, end) = ((last - 100).max(0) * STEP, (last - 20).max(1) * STEP);
    say(&format!("deleting {thread} {last} {start} {end}"));
    store.delete(&selector, TimeRange::new(start, end).unwrap()).unwrap();
    say(&format!("deleted {thread} {last} {start} {end}"));
}
