//! How long does the whole of the M4 competition take? 100,000 series of its lengths, `auto` with bands, on every core.
//!
//! `cargo bench --bench competition [-- --every N]`: every Nth series only, and what all would take by that. The series
//! are seeded, levels that wander with a trend, a season and noise in shares that differ from series to series. How
//! many series there are of each frequency and how short the shortest is, is what the competition's site tells,
//! <https://www.m4.unic.ac.cy/the-dataset/>; the quartiles, means and longest are about those of its series.

mod numbers;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use barograph::forecast::{Coverage, Horizon, Past, Request, SeasonChoice, prepare};
use barograph::series::{History, Step};
use numbers::Numbers;

// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// CPU time of this thread so far, in seconds; as the kernel counts it, so that a busy machine does not.
fn cpu_seconds() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split_whitespace().next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// One frequency of the competition.
struct Frequency {
    name: &'static str,
    n_series: usize,
    horizon: usize,
    season: usize,
    /// The shortest, the quartiles and the longest, in values to learn from.
    lengths: [usize; 5],
    mean_length: f64,
}

const FREQUENCIES: [Frequency; 6] = [
    Frequency {
        name: "yearly",
        n_series: 23_000,
        horizon: 6,
        season: 1,
        lengths: [13, 20, 29, 40, 835],
        mean_length: 31.3,
    },
    Frequency {
        name: "quarterly",
        n_series: 24_000,
        horizon: 8,
        season: 4,
        lengths: [16, 62, 88, 115, 866],
        mean_length: 92.3,
    },
    Frequency {
        name: "monthly",
        n_series: 48_000,
        horizon: 18,
        season: 12,
        lengths: [42, 82, 202, 306, 2_794],
        mean_length: 216.3,
    },
    Frequency {
        name: "weekly",
        n_series: 359,
        horizon: 13,
        season: 52,
        lengths: [80, 379, 934, 1_603, 2_597],
        mean_length: 1022.0,
    },
    Frequency {
        name: "daily",
        n_series: 4_227,
        horizon: 14,
        season: 7,
        lengths: [93, 323, 2_940, 4_197, 9_919],
        mean_length: 2357.4,
    },
    Frequency {
        name: "hourly",
        n_series: 414,
        horizon: 48,
        season: 24,
        lengths: [700, 700, 960, 960, 960],
        mean_length: 853.9,
    },
];

/// The mean of the upper quarter lies at least so far from its lower edge, as a share of the quarter's width.
const LEAST_REACH: f64 = 0.05;

fn length(frequency: &Frequency, numbers: &mut Numbers) -> usize {
    let at = numbers.next() * 4.0;
    let quarter = (at as usize).min(3);
    let edges = frequency.lengths.map(|length| length as f64);
    let (from, to) = (edges[quarter], edges[quarter + 1]);
    // In the upper quarter few reach far towards the longest: as few as give the mean.
    let below: f64 = edges[..4].windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).sum();
    let upper = 4.0 * frequency.mean_length - below;
    let reach = (upper - from).max((to - from) * LEAST_REACH);
    let power = if quarter == 3 { ((to - from) / reach - 1.0).max(0.0) } else { 1.0 };
    (from + at.fract().powf(power) * (to - from)).round() as usize
}

fn series(frequency: &Frequency, nr: usize) -> Vec<f64> {
    let mut numbers = Numbers(nr as u64 + 1);
    let n = length(frequency, &mut numbers);
    let (wander, noise, season) = (0.02 * numbers.next(), 0.05 * numbers.next(), 0.3 * numbers.next());
    let drift = 0.01 * (numbers.next() - 0.3);
    let mut level = (1_000.0 + 4_000.0 * numbers.next()).ln();
    let cycle = |t: usize| match frequency.season {
        1 => 0.0,
        season => (std::f64::consts::TAU * (t % season) as f64 / season as f64).sin(),
    };
    (0..n)
        .map(|t| {
            // A trend that never runs away.
            level += drift / (1.0 + t as f64 / 100.0) + wander * numbers.normal();
            (level + season * cycle(t) + noise * numbers.normal()).exp()
        })
        .collect()
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let every = match (arguments.next().as_deref(), arguments.next()) {
        (Some("--every"), Some(number)) => number.parse().expect("--every takes a number"),
        (None, _) => 1,
        (Some(other), _) => panic!("there is no option {other}; known is --every N"),
    };
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{:10} {:>7} {:>9} {:>9} {:>12}", "frequency", "series", "values", "s", "CPU ms each");
    let (mut all, mut cpu) = (0.0, 0.0);
    for frequency in &FREQUENCIES {
        let n_asked = frequency.n_series.div_ceil(every);
        let history = |nr: usize| History::new(0, Step::seconds(3600), series(frequency, nr * every));
        let n_values: usize = (0..n_asked).map(|nr| history(nr).len()).sum();
        let horizon = Horizon::new(frequency.horizon).expect("not zero");
        let request = Request { season: SeasonChoice::Auto, horizon, ..Request::default() };
        let next = AtomicUsize::new(0);
        let began = Instant::now();
        let work = || {
            loop {
                let nr = next.fetch_add(1, Ordering::Relaxed);
                if nr >= n_asked {
                    return cpu_seconds();
                }
                let prepared = prepare(Past::of(&history(nr)), &request).expect("every series has values");
                std::hint::black_box(prepared.forecast(horizon, Coverage::P95));
            }
        };
        let spent: f64 = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..n_threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().map(|worker| worker.join().expect("no worker panics")).sum()
        });
        let seconds = began.elapsed().as_secs_f64();
        all += seconds * frequency.n_series as f64 / n_asked as f64;
        cpu += spent * frequency.n_series as f64 / n_asked as f64;
        let each = 1e3 * spent / n_asked as f64;
        println!("{:10} {n_asked:>7} {n_values:>9} {seconds:>9.1} {each:>12.2}", frequency.name);
    }
    let how = if every == 1 { "took" } else { "would take" };
    println!("all 100,000 {how} {all:.0} s on {n_threads} cores, {cpu:.0} s of CPU");
}
