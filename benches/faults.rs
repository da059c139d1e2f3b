//! What do faults in the latest history do to forecasts? Levels, slopes, scales and noise that are new, gaps, an
//! outage, a spike: series made up, so that what comes is known, and one table of what `auto` makes of them.
//!
//! `cargo bench --bench faults [-- --series N] [--model NAME]`: so many series of each fault where 20 are usual, and
//! another method than `auto`. The series are seeded: six weeks of hours with a day's cycle of 20 about 100, which
//! begins at another hour in each, and normal noise of 3; where there is a week, 13 weeks with a day's cycle of 50
//! about 200, 100 more from Monday to Friday, and noise of 8. What comes in the three days after that goes on as it is
//! after the fault. The same numbered series of two faults have the same noise.
//!
//! Columns: the mean absolute error of the points, that of the series where it is largest, and the mean of the seasonal
//! naive, which repeats the last day, or week where there is one; the share of values inside the 80 and the 95 % band,
//! and the mean width of the latter.

mod numbers;

use barograph::forecast::{Band, Coverage, ForecastError, Horizon, Past, Request, prepare};
use barograph::series::Step;
use numbers::Numbers;

const DAY: i64 = 24;
const WEEK: i64 = 7 * DAY;

/// Hours ahead.
const AHEAD: i64 = 3 * DAY;

/// What a series is without a fault.
#[derive(Clone, Copy)]
enum Usual {
    /// Six weeks with a day's cycle.
    Days,
    /// 13 weeks with a day's and a week's.
    Weeks,
}

impl Usual {
    fn n_known(self) -> i64 {
        match self {
            Usual::Days => 6 * WEEK,
            Usual::Weeks => 13 * WEEK,
        }
    }

    fn cycle(self) -> i64 {
        match self {
            Usual::Days => DAY,
            Usual::Weeks => WEEK,
        }
    }

    fn noise(self) -> f64 {
        match self {
            Usual::Days => 3.0,
            Usual::Weeks => 8.0,
        }
    }

    /// `hour` hours after the first midnight, a Monday's, without noise.
    fn at(self, hour: i64) -> f64 {
        let of_day = (std::f64::consts::TAU * hour.rem_euclid(DAY) as f64 / DAY as f64).sin();
        let is_workday = hour.rem_euclid(WEEK) < 5 * DAY;
        match self {
            Usual::Days => 100.0 + 20.0 * of_day,
            Usual::Weeks => 200.0 + 50.0 * of_day + if is_workday { 100.0 } else { 0.0 },
        }
    }
}

/// One cell of a series: what it would be without a fault, and when it is.
struct Cell {
    usual: f64,
    /// What of `usual` is noise.
    noise: f64,
    /// Hours from now: negative in what is known, from 0 on in what comes.
    hour: i64,
    /// Hours from the first of the history.
    nr: i64,
}

struct Fault {
    name: &'static str,
    usual: Usual,
    /// What the cell is with the fault; NaN is missing.
    made: fn(&Cell) -> f64,
}

const fn fault(name: &'static str, usual: Usual, made: fn(&Cell) -> f64) -> Fault {
    Fault { name, usual, made }
}

fn raised_for(cell: &Cell, hours: i64) -> f64 {
    if cell.hour >= -hours { cell.usual + 80.0 } else { cell.usual }
}

fn grown_until(cell: &Cell, hours_ago: i64) -> f64 {
    let stopped = Usual::Days.n_known() - hours_ago;
    cell.usual + 0.5 * cell.nr.min(stopped) as f64
}

/// Three weeks that ended a week ago.
fn is_in_the_middle(cell: &Cell) -> bool {
    (-4 * WEEK..-WEEK).contains(&cell.hour)
}

const FAULTS: [Fault; 16] = [
    fault("none", Usual::Days, |cell| cell.usual),
    fault("a level 80 higher for 8 h", Usual::Days, |cell| raised_for(cell, 8)),
    fault("for 24 h", Usual::Days, |cell| raised_for(cell, 24)),
    fault("for 96 h", Usual::Days, |cell| raised_for(cell, 96)),
    fault("growth of 12 a day that stopped 24 h ago", Usual::Days, |cell| grown_until(cell, 24)),
    fault("48 h ago", Usual::Days, |cell| grown_until(cell, 48)),
    fault("growth of 2 an hour that began 40 h ago", Usual::Days, |cell| {
        cell.usual + 2.0 * (cell.hour + 40).max(0) as f64
    }),
    fault("a load halved 36 h ago", Usual::Days, |cell| if cell.hour >= -36 { cell.usual / 2.0 } else { cell.usual }),
    fault("noise three times as wide for two days", Usual::Days, |cell| {
        if cell.hour >= -2 * DAY { cell.usual + 2.0 * cell.noise } else { cell.usual }
    }),
    fault("missing for three weeks, back for one", Usual::Days, |cell| {
        if is_in_the_middle(cell) { f64::NAN } else { cell.usual }
    }),
    fault("stuck at 110 for three weeks, back for one", Usual::Days, |cell| {
        if is_in_the_middle(cell) { 110.0 } else { cell.usual }
    }),
    fault("80 more for 3 h yesterday", Usual::Days, |cell| {
        if (-20..-17).contains(&cell.hour) { cell.usual + 80.0 } else { cell.usual }
    }),
    fault("0 for a day a week ago", Usual::Days, |cell| {
        if (-WEEK..-WEEK + DAY).contains(&cell.hour) { 0.0 } else { cell.usual }
    }),
    fault("none, with a week", Usual::Weeks, |cell| cell.usual),
    fault("0 for a day a week ago, with a week", Usual::Weeks, |cell| {
        if (-WEEK..-WEEK + DAY).contains(&cell.hour) { 0.0 } else { cell.usual }
    }),
    fault("80 more for 3 h yesterday, with a week", Usual::Weeks, |cell| {
        if (-20..-17).contains(&cell.hour) { cell.usual + 80.0 } else { cell.usual }
    }),
];

/// The `nr`th series with `fault`: what is known, and what comes.
fn series(fault: &Fault, nr: u64) -> (Vec<f64>, Vec<f64>) {
    let usual = fault.usual;
    let mut numbers = Numbers(nr + 1);
    let began = (numbers.next() * usual.cycle() as f64) as i64;
    let n_known = usual.n_known();
    let mut values: Vec<f64> = (0..n_known + AHEAD)
        .map(|idx| {
            let noise = usual.noise() * numbers.normal();
            (fault.made)(&Cell { usual: usual.at(began + idx) + noise, noise, hour: idx - n_known, nr: idx })
        })
        .collect();
    let came = values.split_off(n_known as usize);
    (values, came)
}

/// What one forecast was worth.
struct Scored {
    error: f64,
    seasonal_naive: f64,
    inside_80: f64,
    inside_95: f64,
    width: f64,
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    sum / n
}

fn error(came: &[f64], points: &[f64]) -> f64 {
    mean(came.iter().zip(points).map(|(came, point)| (came - point).abs()))
}

fn scored(fault: &Fault, nr: u64, model: &str) -> Result<Scored, ForecastError> {
    let (known, came) = series(fault, nr);
    let horizon = Horizon::new(came.len()).expect("not zero");
    let request = Request { model: model.to_owned(), horizon, ..Request::default() };
    let prepared = prepare(Past::new(0, Step::seconds(3_600), &known), &request)?;
    let [narrow, wide] =
        [0.8, 0.95].map(|share| prepared.forecast(horizon, Coverage::new(share).expect("within 0..1")));
    // Without a band nothing is inside.
    let inside = |band: &Option<Band>| {
        let held = |(idx, came): (usize, &f64)| {
            band.as_ref().is_some_and(|band| (band.lower[idx]..=band.upper[idx]).contains(came))
        };
        mean(came.iter().enumerate().map(held).map(|is_inside| f64::from(u8::from(is_inside))))
    };
    let last = &known[known.len() - fault.usual.cycle() as usize..];
    let repeated: Vec<f64> = last.iter().copied().cycle().take(came.len()).collect();
    Ok(Scored {
        error: error(&came, &wide.points),
        seasonal_naive: error(&came, &repeated),
        inside_80: inside(&narrow.band),
        inside_95: inside(&wide.band),
        width: wide
            .band
            .map_or(f64::NAN, |band| mean(band.upper.iter().zip(&band.lower).map(|(upper, lower)| upper - lower))),
    })
}

fn main() -> Result<(), ForecastError> {
    let (mut n_series, mut model) = (20, "auto".to_owned());
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(option) = arguments.next() {
        let value = arguments.next();
        match (option.as_str(), value) {
            ("--series", Some(number)) => n_series = number.parse().expect("--series takes a number"),
            ("--model", Some(name)) => model = name,
            (other, _) => panic!("there is no option {other} of a value; known are --series N and --model NAME"),
        }
    }
    println!("| fault | error | of the worst | seasonal naive | in 80 % | in 95 % | its width |");
    println!("|---|---|---|---|---|---|---|");
    for fault in &FAULTS {
        let all = (0..n_series).map(|nr| scored(fault, nr, &model)).collect::<Result<Vec<_>, _>>()?;
        let of = |pick: fn(&Scored) -> f64| mean(all.iter().map(pick));
        println!(
            "| {} | {:.1} | {:.1} | {:.1} | {:.2} | {:.2} | {:.0} |",
            fault.name,
            of(|one| one.error),
            all.iter().map(|one| one.error).fold(0.0, f64::max),
            of(|one| one.seasonal_naive),
            of(|one| one.inside_80),
            of(|one| one.inside_95),
            of(|one| one.width)
        );
    }
    Ok(())
}
