//! How good are the forecasts and their bands on public series? One table for each set.
//!
//! `cargo bench --bench accuracy [-- SET...] [--model NAME,...] [--series] [--windows]`; `--half 0` or `1` takes every
//! second series only, to choose on one half and check on the other; `--origins N` takes so many moments of each long
//! series where 2 to 24 are usual, and of a competition's, where one is, as many spans before it as leave half of what
//! is known. `--windows` adds a row for each moment, 0 being the latest, over the series that have it, and `--series`
//! one for each series. The series are read from `../shared/data`, or from where BAROGRAPH_DATA says; where they are
//! absent, the reason is printed and nothing is measured.
//!
//! Columns: sMAPE, MASE, OWA (against Naive 2), MSIS and coverage of the 95 % band, coverage of the 80 % band; then the
//! coverages by quarter of the lead; then ratios to seasonal naive of MASE and of the nine quantiles' pinball loss, the
//! worst series' error against naive and against seasonal naive, and CPU per forecast with its bands. Sets with rolling
//! origins have ratios instead of OWA; the MASE of their seasonal naive is taken over the past of each origin.

mod data;
mod score;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use barograph::forecast::{Coverage, Horizon, Past, Request, SeasonChoice, prepare};
use barograph::series::DAY;
use data::{SETS, Series, Set};
use score::{LEVELS, mean};

// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What one forecast was worth.
struct Scored {
    model: String,
    series: usize,
    /// Which of the series' moments, counted from the latest.
    window: usize,
    mase: f64,
    smape: f64,
    naive2: Option<(f64, f64)>,
    msis: f64,
    /// Inside and all, at 80 and 95 %, by quarter of the lead.
    held: [[(u32, u32); 4]; 2],
    mae: f64,
    seasonal_mase: f64,
    naive_mae: f64,
    seasonal_mae: f64,
    crps: f64,
    seasonal_crps: f64,
    cpu_ms: f64,
}

struct Options {
    sets: Vec<String>,
    models: Vec<String>,
    half: Option<usize>,
    n_origins: Option<usize>,
    shows_series: bool,
    shows_windows: bool,
}

fn main() -> anyhow::Result<()> {
    let options = options();
    let root = std::env::var_os("BAROGRAPH_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    if !root.is_dir() {
        println!("skipped: no series at {}; set BAROGRAPH_DATA to where they are", root.display());
        return Ok(());
    }
    header();
    for name in &options.sets {
        for set in data::read(&root, name, options.n_origins)? {
            for model in &options.models {
                let scored = run(&set, model, options.half);
                report(&set, model, &scored, &options);
            }
        }
    }
    Ok(())
}

fn options() -> Options {
    let mut options = Options {
        sets: Vec::new(),
        models: vec!["auto".to_owned()],
        half: None,
        n_origins: None,
        shows_series: false,
        shows_windows: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => {}
            "--series" => options.shows_series = true,
            "--windows" => options.shows_windows = true,
            "--origins" => options.n_origins = arguments.next().and_then(|n| n.parse().ok()),
            "--half" => options.half = arguments.next().and_then(|half| half.parse().ok()),
            "--model" => {
                options.models = arguments.next().unwrap_or_default().split(',').map(str::to_owned).collect();
            }
            set => options.sets.extend(SETS.iter().filter(|name| name.starts_with(set)).map(|&name| name.to_owned())),
        }
    }
    if options.sets.is_empty() {
        options.sets = SETS.map(str::to_owned).to_vec();
    }
    options
}

/// CPU time of this thread, ms; 0 where the system does not tell.
fn cpu_ms() -> f64 {
    let told = std::fs::read_to_string(Path::new("/proc/thread-self/schedstat")).unwrap_or_default();
    told.split_whitespace().next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(0.0) / 1e6
}

fn run(set: &Set, model: &str, half: Option<usize>) -> Vec<Scored> {
    let asks: Vec<(usize, &Series, (usize, usize))> = set
        .series
        .iter()
        .enumerate()
        .filter(|(nr, _)| half.is_none_or(|half| nr % 2 == half))
        .flat_map(|(nr, series)| series.asks.iter().map(move |ask| (nr, series.as_ref(), *ask)))
        .collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((nr, series, ask)) = asks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match scored(set, series, *nr, *ask, model) {
                        Ok(scored) => found.lock().expect("no thread panics").push(scored),
                        Err(error) => eprintln!("{} {}: {error}", set.name, series.name),
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().expect("no thread panics");
    found.sort_by_key(|scored: &Scored| scored.series);
    found
}

fn scored(set: &Set, series: &Series, nr: usize, ask: (usize, usize), model: &str) -> anyhow::Result<Scored> {
    let (n, ahead) = ask;
    let (past, truth) = (&series.history.values()[..n], &series.history.values()[n..n + ahead]);
    let horizon = Horizon::new(ahead).expect("an ask is about something");
    let request = Request { model: model.to_owned(), season: SeasonChoice::Auto, horizon };
    let before = cpu_ms();
    let prepared = prepare(Past::of(&series.history).upto(n), &request)?;
    let at = |share: f64| prepared.forecast(horizon, Coverage::new(share).expect("within 0..1"));
    let wide = at(0.95);
    let cpu_ms = cpu_ms() - before;
    let lag = if set.season > 0 { set.season } else { day_of(series, n) };
    let scale = score::scale(past, lag);
    let points = &wide.points;
    let mut quantiles = vec![points.clone(); LEVELS.len()];
    for (nr, share) in [0.8, 0.6, 0.4, 0.2].into_iter().enumerate() {
        if let Some(band) = at(share).band {
            (quantiles[nr], quantiles[8 - nr]) = (band.lower, band.upper);
        }
    }
    let mut held = [[(0, 0); 4]; 2];
    let mut msis = f64::NAN;
    for (held, share) in held.iter_mut().zip([0.8, 0.95]) {
        let Some(band) = at(share).band else { continue };
        for (idx, value) in truth.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            let quarter = &mut held[4 * idx / ahead];
            quarter.0 += u32::from((band.lower[idx]..=band.upper[idx]).contains(value));
            quarter.1 += 1;
        }
        msis = score::interval_score(truth, &band.lower, &band.upper) / scale;
    }
    let seasonal = score::seasonal_naive(past, lag, ahead);
    let seasonal_quantiles = score::seasonal_naive_quantiles(past, lag, &seasonal);
    let naive = score::seasonal_naive(past, 1, ahead);
    let naive2 = (!set.is_rolling).then(|| score::naive2(past, lag, ahead));
    Ok(Scored {
        model: wide.model.clone(),
        series: nr,
        window: series.asks.iter().filter(|(origin, _)| *origin > n).count(),
        mase: score::mae(truth, points) / scale,
        smape: score::smape(truth, points),
        naive2: naive2.map(|naive2| (score::smape(truth, &naive2), score::mae(truth, &naive2) / scale)),
        msis,
        held,
        mae: score::mae(truth, points),
        seasonal_mase: score::mae(truth, &seasonal) / scale,
        naive_mae: score::mae(truth, &naive),
        seasonal_mae: score::mae(truth, &seasonal),
        crps: score::pinball(truth, &quantiles) / scale,
        seasonal_crps: score::pinball(truth, &seasonal_quantiles) / scale,
        cpu_ms,
    })
}

/// A day in steps, where two fit into the past.
fn day_of(series: &Series, n: usize) -> usize {
    let day = series.history.step().count_in(DAY);
    if 2 * day <= n { day } else { 1 }
}

fn header() {
    println!(
        "{:14} {:9} {:>5} {:>7} {:>6} {:>6} {:>6} {:>5} {:>5} {:>31} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7}",
        "set",
        "model",
        "n",
        "sMAPE",
        "MASE",
        "OWA",
        "MSIS",
        "80%",
        "95%",
        "80% and 95% by quarter",
        "/snMASE",
        "geo",
        "/snCRPS",
        "worst",
        "to sn",
        "CPU ms"
    );
}

fn report(set: &Set, model: &str, scored: &[Scored], options: &Options) {
    let of = |pick: fn(&Scored) -> f64| mean(scored.iter().map(pick));
    let share = |coverage: usize, quarters: &[usize]| {
        let sum = |pick: fn(&(u32, u32)) -> u32| -> u32 {
            scored.iter().map(|one| quarters.iter().map(|&nr| pick(&one.held[coverage][nr])).sum::<u32>()).sum()
        };
        f64::from(sum(|held| held.0)) / f64::from(sum(|held| held.1))
    };
    let owa = {
        let [smape, mase] = [0, 1].map(|nr| {
            mean(scored.iter().map(|one| one.naive2.map_or(f64::NAN, |pair| if nr == 0 { pair.0 } else { pair.1 })))
        });
        f64::midpoint(of(|one| one.smape) / smape, of(|one| one.mase) / mase)
    };
    let per_series = ratios(scored, |one| one.naive_mae);
    let worst = |of: &[(usize, f64)]| of.iter().map(|(_, ratio)| *ratio).fold(0.0, f64::max);
    let [worst, worst_seasonal] = [worst(&per_series), worst(&ratios(scored, |one| one.seasonal_mae))];
    // Against seasonal naive, series by series, as benchmarks of many series have it.
    let geometric = mean(by_series(scored).map(|ones| {
        let [own, seasonal] = [mean(ones.iter().map(|one| one.mase)), mean(ones.iter().map(|one| one.seasonal_mase))];
        if own > 0.0 && seasonal > 0.0 { (own / seasonal).ln() } else { f64::NAN }
    }))
    .exp();
    let quarters = [0, 1].map(|coverage| {
        let shares = [0, 1, 2, 3].map(|quarter| format!("{:.0}", 100.0 * share(coverage, &[quarter])));
        shares.join(" ")
    });
    println!(
        "{:14} {:9} {:5} {:7.3} {:6.3} {:6.3} {:6.2} {:5.3} {:5.3} {:>15} {:>15} {:6.3} {:6.3} {:6.3} {:6.2} {:6.2} {:7.2}",
        set.name,
        model,
        scored.len(),
        of(|one| one.smape),
        of(|one| one.mase),
        owa,
        of(|one| one.msis),
        share(0, &[0, 1, 2, 3]),
        share(1, &[0, 1, 2, 3]),
        quarters[0],
        quarters[1],
        of(|one| one.mase) / of(|one| one.seasonal_mase),
        geometric,
        of(|one| one.crps) / of(|one| one.seasonal_crps),
        worst,
        worst_seasonal,
        of(|one| one.cpu_ms)
    );
    if options.shows_windows {
        for window in 0..=scored.iter().map(|one| one.window).max().unwrap_or(0) {
            let ones = || scored.iter().filter(|one| one.window == window);
            println!(
                "    window {:2} {:5} series 80% {:.3} 95% {:.3} mase {:8.3} seasonal naive {:8.3}",
                window,
                ones().count(),
                held(ones(), 0),
                held(ones(), 1),
                mean(ones().map(|one| one.mase)),
                mean(ones().map(|one| one.seasonal_mase)),
            );
        }
    }
    if options.shows_series {
        for ones in by_series(scored) {
            let ratio = per_series.iter().find(|(nr, _)| *nr == ones[0].series).map_or(f64::NAN, |(_, ratio)| *ratio);
            let models: Vec<&str> = ones.iter().map(|one| one.model.as_str()).collect();
            println!(
                "    {:40} {:.2} {:.2} mase {:8.3} seasonal naive {:8.3} to naive {:6.2} ms {:6.1} {}",
                set.series[ones[0].series].name,
                held(ones.iter(), 0),
                held(ones.iter(), 1),
                mean(ones.iter().map(|one| one.mase)),
                mean(ones.iter().map(|one| one.seasonal_mase)),
                ratio,
                mean(ones.iter().map(|one| one.cpu_ms)),
                models.join(" ")
            );
        }
    }
}

/// The share inside, at 80 or 95 %.
fn held<'a>(ones: impl Iterator<Item = &'a Scored>, coverage: usize) -> f64 {
    let (inside, all) = ones
        .flat_map(|one| one.held[coverage])
        .fold((0, 0), |(inside, all), (more_inside, more)| (inside + more_inside, all + more));
    f64::from(inside) / f64::from(all)
}

fn by_series(scored: &[Scored]) -> impl Iterator<Item = &[Scored]> {
    scored.chunk_by(|a, b| a.series == b.series)
}

/// Each series' error against a naive's.
fn ratios(scored: &[Scored], naive: fn(&Scored) -> f64) -> Vec<(usize, f64)> {
    by_series(scored)
        .map(|ones| {
            let [own, naive] = [mean(ones.iter().map(|one| one.mae)), mean(ones.iter().map(naive))];
            (ones[0].series, if own > 0.0 { own / naive } else { 0.0 })
        })
        .collect()
}
