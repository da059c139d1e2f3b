//! How fast are series found again, from blocks and the memtable?
//!
//! 100,000 series, a hundred metrics of a thousand machines: the last two hours at 15 s (and again at 60 s), thirty
//! days before them at a sample a day, and one series over all thirty days at 15 s. Blocks are left as flushes and
//! merges leave them, and the youngest samples are in the memtable.
//!
//! Each read is timed three ways: `warm`, again and again; `cold`, after the page cache has forgotten the store's
//! files (GNU dd's `nocache`); `first`, the same and the first question to a store that was just opened.
//!
//!     cargo bench --bench scan [-- [15] [60] [words of a read's name]...]

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use barograph::series::{Batch, DAY, HOUR, Key, MatchOp, Matcher, Millis, SECOND, Sample, Selector, TimeRange};
use barograph::storage::{Ack, AppendError, Store, StoreSettings};

// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const N_METRICS: usize = 100;
const N_MACHINES: usize = 1_000;
const N_SERIES: usize = N_METRICS * N_MACHINES;
// Midnight.
const START: Millis = 1_700_006_400_000;
const RECENT: Millis = START + 30 * DAY;
const END: Millis = RECENT + 2 * HOUR;
const N_WARM: usize = 9;
const N_COLD: usize = 5;

fn key(series: usize) -> Key {
    // Metrics of one machine next to each other, as they are sent.
    let (machine, metric) = (series / N_METRICS, series % N_METRICS);
    let (name, instance) = (format!("node_metric_{metric}_total"), instance(machine));
    let (zone, uid) = (format!("zone-{}", machine % 6), format!("{:016x}", (series as u64).wrapping_mul(0x9e37_79b9)));
    let labels = [
        ("cluster", "production"),
        ("instance", &instance),
        ("job", "node"),
        ("mode", ["idle", "user", "system", "iowait"][series % 4]),
        ("rack", &instance[3..7]),
        ("uid", &uid),
        ("zone", &zone),
    ];
    Key::from_pairs(&name, &labels).expect("valid labels")
}

fn instance(machine: usize) -> String {
    format!("10.{:03}.0.{:03}:9100", machine / 250, machine % 250)
}

/// A third of the series stand still, a third count, a third are noise of few digits.
fn value(series: usize, at: Millis) -> f64 {
    let step = at / (15 * SECOND);
    let noise = (series as i64 * 7_919 + step * 104_729) % 1_009;
    match series % 3 {
        0 => (series % 50) as f64,
        1 => (step * 64 + noise) as f64,
        _ => noise as f64 / 8.0,
    }
}

/// Stores a batch, and waits while flushing lags behind.
fn append(store: &Store, batch: &Batch) {
    loop {
        match store.append(batch) {
            Ok(_) => return,
            Err(AppendError::Overloaded { .. }) => {}
            Err(error) => panic!("not stored: {error}"),
        }
    }
}

fn fill(store: &Store, keys: &[Key], step: Millis) {
    let sample = |series: usize, at: Millis| (keys[series].clone(), Sample { at, value: value(series, at) });
    for day in 0..30 {
        let start = START + day * DAY;
        let long = (0..DAY / (15 * SECOND)).map(|idx| sample(0, start + idx * 15 * SECOND));
        append(store, &Batch::from_samples(long));
        let others = (1..keys.len()).map(|series| sample(series, start + HOUR));
        append(store, &Batch::from_samples(others));
    }
    store.flush().expect("flushed");
    store.compact().expect("merged");
    for at in (RECENT..END).step_by(step as usize) {
        for machines in (0..keys.len()).collect::<Vec<_>>().chunks(20_000) {
            let rows = machines.iter().map(|series| sample(*series, at));
            append(store, &Batch::from_samples(rows));
        }
    }
}

/// Waits until the background has no more to flush or merge, as it takes the processors that a read would have.
fn settle(store: &Store) {
    let (mut before, mut since) = (store.figures().n_blocks, Instant::now());
    while since.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(100));
        let now = store.figures().n_blocks;
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
}

fn selector(matchers: &[(&str, MatchOp, &str)]) -> Selector {
    let matcher = |(name, op, value): &(&str, MatchOp, &str)| Matcher::new(*name, *op, *value).expect("plain text");
    Selector { matchers: matchers.iter().map(matcher).collect() }
}

fn settings() -> StoreSettings {
    StoreSettings { ack: Ack::None, ..StoreSettings::default() }
}

/// A question and how many samples, series or texts the answer has.
struct Read<'a> {
    name: String,
    n_expected: usize,
    ask: Box<dyn Fn(&Store) -> usize + 'a>,
}

fn reads(keys: &[Key], step: Millis) -> Vec<Read<'_>> {
    use MatchOp::{Equal, Regex};
    let range = |start, end| TimeRange::new(start, end).expect("in order");
    let n_hour = (HOUR / step) as usize;
    let (month, hour) = (range(START, START + 30 * DAY), range(END - HOUR, END));
    let samples = |name: String, selector: Selector, range: TimeRange, n_expected: usize| {
        let ask = move |store: &Store| {
            let found = store.select(&selector, range).expect("read");
            found.iter().map(|series| series.samples.len()).sum()
        };
        Read { name, n_expected, ask: Box::new(ask) }
    };
    let texts = |name: &str, label: &'static str, n_expected: usize| {
        let ask = move |store: &Store| store.label_values(label, &Selector::all(), TimeRange::ALL).expect("read").len();
        Read { name: name.to_owned(), n_expected, ask: Box::new(ask) }
    };
    let (machine, metric) = (instance(7), "node_metric_7_total");
    let few = selector(&[("__name__", Regex, "node_metric_.?_total"), ("instance", Regex, "10.000.0.0.*")]);
    vec![
        samples(
            "one series, 30 days at 15 s".to_owned(),
            Selector::exactly(&keys[0]),
            month,
            (30 * DAY / (15 * SECOND)) as usize,
        ),
        samples(
            "1,000 series of one metric, last hour".to_owned(),
            Selector::metric(metric),
            hour,
            N_MACHINES * n_hour,
        ),
        samples("1,000 series of a hundred machines and ten metrics, last hour".to_owned(), few, hour, 1_000 * n_hour),
        samples(
            "100 series of one machine, last hour".to_owned(),
            selector(&[("instance", Equal, &machine)]),
            hour,
            N_METRICS * n_hour,
        ),
        samples("100,000 series, last hour".to_owned(), Selector::all(), hour, N_SERIES * n_hour),
        samples(
            "100,000 series, last five minutes".to_owned(),
            Selector::all(),
            range(END - 300 * SECOND, END),
            N_SERIES * (300 * SECOND / step) as usize,
        ),
        texts("label values, 1,000 of them", "instance", N_MACHINES),
        texts("label values, 100,000 of them", "uid", N_SERIES),
        Read {
            name: "label names".to_owned(),
            n_expected: 8,
            ask: Box::new(|store| store.label_names(&Selector::all(), TimeRange::ALL).expect("read").len()),
        },
        Read {
            name: "100,000 keys".to_owned(),
            n_expected: N_SERIES,
            ask: Box::new(move |store| store.keys(&Selector::all(), hour).expect("read").len()),
        },
        Read {
            name: "samples of everything, counted beforehand".to_owned(),
            n_expected: 0,
            ask: Box::new(|store| {
                black_box(store.estimate(&Selector::all(), TimeRange::ALL).expect("read"));
                0
            }),
        },
    ]
}

fn timed(read: &Read<'_>, store: &Store) -> Duration {
    let start = Instant::now();
    let n_found = black_box((read.ask)(store));
    let took = start.elapsed();
    assert_eq!(n_found, read.n_expected, "{}", read.name);
    took
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Every file below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Lets the page cache forget the files; false where dd cannot.
fn forget(dir: &Path) -> bool {
    let dd = |path: &PathBuf| {
        let mut dd = Command::new("dd");
        dd.arg(format!("if={}", path.display())).args(["iflag=nocache", "count=0"]).stderr(Stdio::null());
        dd.status().is_ok_and(|status| status.success())
    };
    files(&dir.join("blocks")).iter().chain(&files(&dir.join("index"))).all(dd)
}

fn measure(step: Millis, words: &[String]) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let keys: Vec<Key> = (0..N_SERIES).map(key).collect();
    let mut store = Store::open(dir.path(), settings()).expect("opens");
    let start = Instant::now();
    fill(&store, &keys, step);
    let filled = start.elapsed();
    settle(&store);
    let figures = store.figures();
    println!(
        "\n100,000 series at {} s: {} blocks, {} samples in the memtable, filled in {:.0?}",
        step / SECOND,
        figures.n_blocks,
        figures.n_memtable_samples,
        filled
    );
    println!("| read | warm | cold | first |\n|---|---|---|---|");
    for read in reads(&keys, step).into_iter().filter(|read| words.iter().all(|word| read.name.contains(word))) {
        timed(&read, &store);
        let warm = median((0..N_WARM).map(|_| timed(&read, &store)).collect());
        let cold = |store: &Store| forget(dir.path()).then(|| timed(&read, store));
        let colds: Option<Vec<Duration>> = (0..N_COLD).map(|_| cold(&store)).collect();
        let mut firsts = Vec::new();
        for _ in 0..N_COLD {
            drop(store);
            store = Store::open(dir.path(), settings()).expect("opens");
            firsts.extend(cold(&store));
        }
        let shown = |times: Option<Vec<Duration>>| {
            times.filter(|times| !times.is_empty()).map_or("-".to_owned(), |times| format!("{:.1?}", median(times)))
        };
        println!("| {} | {warm:.1?} | {} | {} |", read.name, shown(colds), shown(Some(firsts)));
    }
}

fn main() {
    let args = || std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let steps: Vec<Millis> = args().filter_map(|arg| arg.parse().ok()).collect();
    let words: Vec<String> = args().filter(|arg| arg.parse::<Millis>().is_err()).collect();
    for step in if steps.is_empty() { vec![15, 60] } else { steps } {
        measure(step * SECOND, &words);
    }
}
