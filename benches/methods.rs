//! What does each method cost, against the length of the history? One line per entry of the registry.
//!
//! `cargo bench --bench methods [-- NAME...] [--season STEPS] [--most LENGTH]`. CPU time of a fit with 48 points, in
//! milliseconds, at lengths from 500 to a million; then the slope of log time over log length: 1 is linear, 0 a fit
//! that looks back on so much only. Beside it the CPU time of one update and what the fitted model holds, at 10,000
//! values. The series is seeded: hours of a wandering level with a day, a week and noise. An entry stops at the length
//! whose fit takes longer than [`PATIENCE_MS`], and `auto` at [`MOST_OF_A_CHOOSER`].

use std::hint::black_box;
use std::path::Path;

use barograph::forecast::{Entry, FORECASTERS, Fitted, Horizon, Past, Regressors, Role, Settings, Updated};
use barograph::series::{History, Season, Step};

// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LENGTHS: [usize; 10] = [500, 1_000, 2_000, 5_000, 10_000, 30_000, 100_000, 300_000, 500_000, 1_000_000];

/// The length at which updates and sizes are measured.
const UPDATED_AT: usize = 10_000;

/// A fit that takes longer is an entry's last.
const PATIENCE_MS: f64 = 5_000.0;

/// What chooses fits many methods many times.
const MOST_OF_A_CHOOSER: usize = 10_000;

/// Updates that are measured together.
const N_UPDATES: usize = 2_000;

/// How long fits and updates are repeated, and how often at most.
const FIT_MS: f64 = 80.0;
const UPDATES_MS: f64 = 40.0;
const MOST_REPEATS: u32 = 100_000;

fn hours(n: usize) -> Vec<f64> {
    let mut state = 12_345u64;
    let mut level = 100.0;
    (0..n)
        .map(|t| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let noise = (state >> 33) as f64 / f64::from(1u32 << 31) - 0.5;
            level += 0.1 * noise;
            let weekend = if t / 24 % 7 >= 5 { -3.0 } else { 0.0 };
            level + weekend + 8.0 * (std::f64::consts::TAU * t as f64 / 24.0).sin() + 2.0 * noise
        })
        .collect()
}

/// CPU time of this thread so far, in milliseconds; as the kernel has it, so that a busy machine does not count.
fn cpu_ms() -> f64 {
    let told = std::fs::read_to_string(Path::new("/proc/thread-self/schedstat")).unwrap_or_default();
    told.split_whitespace().next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(0.0) / 1e6
}

struct Options {
    names: Vec<String>,
    season: usize,
    most: usize,
}

fn options() -> Options {
    let mut options = Options { names: Vec::new(), season: 24, most: usize::MAX };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok());
        match argument.as_str() {
            "--season" => options.season = number().unwrap_or(options.season),
            "--most" => options.most = number().unwrap_or(options.most),
            // What cargo itself passes.
            "--bench" => {}
            name => options.names.push(name.to_owned()),
        }
    }
    options
}

/// The mean CPU time of `work` in milliseconds, repeated until it has taken `least_ms`: the kernel counts in slices.
fn timed(least_ms: f64, mut work: impl FnMut()) -> f64 {
    let before = cpu_ms();
    let mut n = 0;
    loop {
        work();
        n += 1;
        let spent = cpu_ms() - before;
        if spent >= least_ms || n == MOST_REPEATS {
            return spent / f64::from(n);
        }
    }
}

/// The CPU time of a fit with its points, and the fitted model.
fn fitted(entry: &Entry, season: usize, history: &History) -> Option<(f64, Box<dyn Fitted>)> {
    let horizon = Horizon::new(48)?;
    let settings = Settings { seasons: Season::new(season).into_iter().collect(), horizon: Some(horizon) };
    let method = (entry.build)(&settings);
    let past = Past::of(history);
    let fitted = method.fit(&past).ok()?;
    let ms = timed(FIT_MS, || {
        let fitted = method.fit(black_box(&past));
        black_box(fitted.map(|fitted| fitted.points(horizon)).ok());
    });
    Some((ms, fitted))
}

/// The slope of log time over log length, by least squares, over the lengths from 2,000 on.
fn slope(times: &[(usize, f64)]) -> Option<f64> {
    let points: Vec<(f64, f64)> =
        times.iter().filter(|(n, _)| *n >= 2_000).map(|(n, ms)| ((*n as f64).ln(), ms.max(1e-6).ln())).collect();
    let n = points.len() as f64;
    let (mx, my) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let sxy: f64 = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
    let sxx: f64 = points.iter().map(|p| (p.0 - mx).powi(2)).sum();
    (points.len() >= 3).then(|| sxy / sxx)
}

fn main() {
    let Options { names, season, most } = options();
    let values = hours(LENGTHS[LENGTHS.len() - 1].min(most));
    let history = |n: usize| History::new(1_700_000_000_000, Step::seconds(3600), values[..n].to_vec());
    let lengths: Vec<usize> = LENGTHS.into_iter().filter(|n| *n <= values.len()).collect();
    print!("{:28}", format!("CPU ms, season {season}"));
    lengths.iter().for_each(|n| print!("{n:>9}"));
    println!("{:>7} {:>10} {:>9} {:>8}", "slope", "update us", "", "bytes");
    let asked = |entry: &&Entry| names.is_empty() || names.iter().any(|name| name == entry.name);
    for entry in FORECASTERS.iter().filter(asked) {
        print!("{:28}", entry.name);
        let mut times = Vec::new();
        let mut update = None;
        for &n in &lengths {
            let is_too_long = times.last().is_some_and(|(_, ms)| *ms > PATIENCE_MS)
                || entry.role == Role::Chooser && n > MOST_OF_A_CHOOSER;
            let measured = if is_too_long { None } else { fitted(entry, season, &history(n)) };
            let Some((ms, mut model)) = measured else {
                print!("{:>9}", "-");
                continue;
            };
            print!("{ms:9.3}");
            times.push((n, ms));
            if n == UPDATED_AT {
                let bytes = model.n_bytes();
                let mut answer = Updated::NeedsRefit;
                let ms = timed(UPDATES_MS, || {
                    for &value in values.iter().take(N_UPDATES) {
                        answer = model.update(black_box(value), Regressors::NONE);
                    }
                });
                update = Some((ms * 1e3 / N_UPDATES as f64, answer, bytes));
            }
        }
        slope(&times).map_or_else(|| print!("{:>7}", "-"), |slope| print!("{slope:7.2}"));
        match update {
            Some((_, Updated::NeedsRefit, bytes)) => println!("{:>10} {:>9} {bytes:>8}", "-", "refit"),
            Some((us, answer, bytes)) => println!("{us:>10.3} {:>9} {bytes:>8}", format!("{answer:?}").to_lowercase()),
            None => println!(),
        }
    }
}
