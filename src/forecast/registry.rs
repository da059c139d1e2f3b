//! Every forecasting method by name; the command line, HTTP, the docs and the contract tests read this one list.

use super::ar::Ar;
use super::arima::Arima;
use super::auto::{AUTO, Auto};
use super::card::Card;
use super::ces::Ces;
use super::croston::Croston;
use super::cycle_median::CycleMedian;
use super::damped::Damped;
use super::delta::Delta;
use super::dynamic_regression::DynamicRegression;
pub use super::entry::{Cost, Entry, Role, SeasonUse, Settings, ValueNeed};
use super::ets::Ets;
use super::holt::Holt;
use super::holt_winters_additive::HoltWintersAdditive;
use super::holt_winters_multiplicative::HoltWintersMultiplicative;
use super::linear::Linear;
use super::moving_average::MovingAverage;
use super::moving_median::MovingMedian;
use super::mstl::Mstl;
use super::naive::Naive;
use super::period_fold::PeriodFold;
use super::piecewise_linear::PiecewiseLinear;
use super::rho::Rho;
use super::sba::Sba;
use super::seasonal_ar::SeasonalAr;
use super::seasonal_naive::SeasonalNaive;
use super::ses::Ses;
use super::slot_profile::SlotProfile;
use super::theil_sen::TheilSen;
use super::theta::{Member, Theta};
use super::tsb::Tsb;

/// Every method, in the order in which they are listed.
pub const FORECASTERS: &[Entry] = &[
    Entry {
        name: AUTO,
        summary: "the methods below that did best on the series' own past, averaged by how well they did",
        season: SeasonUse::Takes,
        values: ValueNeed::Any,
        role: Role::Chooser,
        cost: Cost::Heavy,
        build: |settings| Box::new(Auto { settings: settings.clone() }),
    },
    Entry {
        name: "naive",
        summary: "repeats the last value",
        season: SeasonUse::Ignores,
        values: ValueNeed::Any,
        role: Role::Anchor,
        cost: Cost::Light,
        build: |_| Box::new(Naive),
    },
    Entry {
        name: "seasonal-naive",
        summary: "repeats the last cycle",
        season: SeasonUse::Needs,
        values: ValueNeed::Any,
        role: Role::Anchor,
        cost: Cost::Light,
        build: |settings| Box::new(SeasonalNaive { season: settings.season() }),
    },
    Entry {
        name: "moving-average",
        summary: "the mean of the last values; the window that forecast best",
        season: SeasonUse::Takes,
        values: ValueNeed::Any,
        role: Role::Candidate,
        cost: Cost::Light,
        build: |settings| Box::new(MovingAverage { season: settings.season(), window: None }),
    },
    Entry {
        name: "moving-median",
        summary: "the middle of the last values; the window that forecast best",
        season: SeasonUse::Ignores,
        values: ValueNeed::Level,
        role: Role::Candidate,
        cost: Cost::Light,
        build: |settings| Box::new(MovingMedian { horizon: settings.horizon }),
    },
    Entry {
        name: "ses",
        summary: "simple exponential smoothing: a level that forgets",
        season: SeasonUse::Ignores,
        values: ValueNeed::Any,
        role: Role::Named,
        cost: Cost::Heavy,
        build: |_| Box::new(Ses::default()),
    },
    Entry {
        name: "holt",
        summary: "Holt's exponential smoothing: a level and a straight trend",
        season: SeasonUse::Ignores,
        values: ValueNeed::Any,
        role: Role::Named,
        cost: Cost::Heavy,
        build: |_| Box::new(Holt::default()),
    },
    Entry {
        name: "damped",
        summary: "damped Holt: a level and a trend that fades",
        season: SeasonUse::Ignores,
        values: ValueNeed::Any,
        role: Role::Named,
        cost: Cost::Heavy,
        build: |_| Box::new(Damped::default()),
    },
    Entry {
        name: "holt-winters-additive",
        summary: "level, trend and a season that is added",
        season: SeasonUse::Needs,
        values: ValueNeed::Any,
        role: Role::Named,
        cost: Cost::Heavy,
        build: |settings| Box::new(HoltWintersAdditive { season: settings.season(), fixed: None }),
    },
    Entry {
        name: "holt-winters-multiplicative",
        summary: "level, trend and a season that is multiplied; positive values only",
        season: SeasonUse::Needs,
        values: ValueNeed::ClearOfZero,
        role: Role::Candidate,
        cost: Cost::Heavy,
        build: |settings| Box::new(HoltWintersMultiplicative { season: settings.season(), fixed: None }),
    },
    Entry {
        name: "linear",
        summary: "least-squares line, with the season's profile on it",
        season: SeasonUse::Takes,
        values: ValueNeed::Any,
        role: Role::Named,
        cost: Cost::Light,
        build: |settings| Box::new(Linear { season: settings.season() }),
    },
    Entry {
        name: "theil-sen",
        summary: "robust line by the median of slopes, with the season's profile on it",
        season: SeasonUse::Takes,
        values: ValueNeed::Any,
        role: Role::Named,
        cost: Cost::Heavy,
        build: |settings| Box::new(TheilSen { season: settings.season() }),
    },
    Entry {
        name: "seasonal-ar",
        summary: "regression on the last value, the ones a cycle ago and the place of the cycle",
        season: SeasonUse::TakesAll,
        values: ValueNeed::Any,
        role: Role::Candidate,
        cost: Cost::Light,
        build: |settings| Box::new(SeasonalAr::of(&settings.seasons)),
    },
    Entry {
        name: "ets",
        summary: "exponential smoothing; errors, trend and season chosen by AICc",
        season: SeasonUse::Takes,
        values: ValueNeed::Any,
        role: Role::Candidate,
        cost: Cost::Heavy,
        build: |settings| Box::new(Ets { season: settings.season() }),
    },
    Entry {
        name: "ar",
        summary: "regression on the last values and those a cycle ago, as many as AICc asks for",
        season: SeasonUse::Takes,
        values: ValueNeed::Any,
        role: Role::Candidate,
        cost: Cost::Light,
        build: |settings| Box::new(Ar { season: settings.season() }),
    },
    Entry {
        name: "arima",
        summary: "autoregression and moving average of differences; orders chosen by AICc",
        season: SeasonUse::Takes,
        values: ValueNeed::Any,
        role: Role::Candidate,
        cost: Cost::Heavy,
        build: |settings| Box::new(Arima { season: settings.season() }),
    },
    Entry {
        name: "ces",
        summary: "complex exponential smoothing: a level that rises without a trend; the season's form by AICc",
        season: SeasonUse::Takes,
        values: ValueNeed::Any,
        role: Role::Named,
        cost: Cost::Heavy,
        build: |settings| Box::new(Ces { season: settings.season() }),
    },
    Entry {
        name: "theta",
        summary: "a smoothed level with a share of the trend; the best of the four members below",
        season: SeasonUse::Takes,
        values: ValueNeed::Any,
        role: Role::Candidate,
        cost: Cost::Light,
        build: |settings| Box::new(Theta { season: settings.season(), member: None }),
    },
    Entry {
        name: "stm",
        summary: "theta with one trend line and a bend of 2: the method that won the M3 competition",
        season: SeasonUse::Takes,
        values: ValueNeed::Any,
        role: Role::Named,
        cost: Cost::Light,
        build: |settings| Box::new(Theta { season: settings.season(), member: Some(Member::STM) }),
    },
    Entry {
        name: "otm",
        summary: "theta with one trend line and an estimated bend",
        season: SeasonUse::Takes,
        values: ValueNeed::Any,
        role: Role::Candidate,
        cost: Cost::Heavy,
        build: |settings| Box::new(Theta { season: settings.season(), member: Some(Member::OTM) }),
    },
    Entry {
        name: "dstm",
        summary: "theta whose trend line moves on with the values, and a bend of 2",
        season: SeasonUse::Takes,
        values: ValueNeed::Any,
        role: Role::Named,
        cost: Cost::Light,
        build: |settings| Box::new(Theta { season: settings.season(), member: Some(Member::DSTM) }),
    },
    Entry {
        name: "dotm",
        summary: "theta whose trend line moves on with the values, and an estimated bend",
        season: SeasonUse::Takes,
        values: ValueNeed::Any,
        role: Role::Named,
        cost: Cost::Light,
        build: |settings| Box::new(Theta { season: settings.season(), member: Some(Member::DOTM) }),
    },
    Entry {
        name: "delta",
        summary: "the last value and its usual change, held down, with the season's profile on it",
        season: SeasonUse::Takes,
        values: ValueNeed::Any,
        role: Role::Candidate,
        cost: Cost::Light,
        build: |settings| Box::new(Delta { season: settings.season() }),
    },
    Entry {
        name: "rho",
        summary: "an autoregression that adapts to what the series is",
        season: SeasonUse::TakesAll,
        values: ValueNeed::Any,
        role: Role::Named,
        cost: Cost::Light,
        build: |settings| Box::new(Rho { seasons: settings.seasons.clone(), is_calm: true }),
    },
    Entry {
        name: "card",
        summary: "the mean of delta and rho, calibrated by a regression",
        season: SeasonUse::TakesAll,
        values: ValueNeed::Any,
        role: Role::Candidate,
        cost: Cost::Light,
        build: |settings| {
            Box::new(Card { seasons: settings.seasons.clone(), horizon: settings.horizon, is_calm: true })
        },
    },
    Entry {
        name: "period-fold",
        summary: "the shape of the last cycles times a level per cycle that a ridge regression continues",
        season: SeasonUse::NeedsAll,
        values: ValueNeed::Any,
        role: Role::Named,
        cost: Cost::Light,
        build: |settings| Box::new(PeriodFold { seasons: settings.seasons.clone() }),
    },
    Entry {
        name: "croston",
        summary: "Croston: the size of rare events by the interval between",
        season: SeasonUse::Ignores,
        values: ValueNeed::Intermittent,
        role: Role::Named,
        cost: Cost::Light,
        build: |_| Box::new(Croston),
    },
    Entry {
        name: "sba",
        summary: "Croston without its bias",
        season: SeasonUse::Ignores,
        values: ValueNeed::Intermittent,
        role: Role::Candidate,
        cost: Cost::Light,
        build: |_| Box::new(Sba),
    },
    Entry {
        name: "tsb",
        summary: "the size of rare events times their chance, which fades",
        season: SeasonUse::Ignores,
        values: ValueNeed::Intermittent,
        role: Role::Candidate,
        cost: Cost::Light,
        build: |_| Box::new(Tsb),
    },
    Entry {
        name: "dynamic-regression",
        summary: "waves, weekdays, holidays and planned events by regression, with errors that remember",
        season: SeasonUse::TakesAll,
        values: ValueNeed::KnownColumns,
        role: Role::Candidate,
        cost: Cost::Heavy,
        build: |settings| Box::new(DynamicRegression { seasons: settings.seasons.clone() }),
    },
    Entry {
        name: "piecewise-linear",
        summary: "straight lines between points of change, with the season's profile on the last",
        season: SeasonUse::Takes,
        values: ValueNeed::Any,
        role: Role::Named,
        cost: Cost::Heavy,
        build: |settings| Box::new(PiecewiseLinear { season: settings.season() }),
    },
    Entry {
        name: "slot-profile",
        summary: "the median of each place of the longest cycle, on the level of the last",
        season: SeasonUse::NeedsAll,
        values: ValueNeed::Any,
        role: Role::Candidate,
        cost: Cost::Light,
        build: |settings| Box::new(SlotProfile { seasons: settings.seasons.clone() }),
    },
    Entry {
        name: "cycle-median",
        summary: "the median of each place of the cycle, on that of the last four",
        season: SeasonUse::Needs,
        values: ValueNeed::ManyCycles,
        role: Role::Candidate,
        cost: Cost::Light,
        build: |settings| Box::new(CycleMedian { season: settings.season() }),
    },
    Entry {
        name: "mstl",
        summary: "seasons taken apart by MSTL, the last cycle of each on a damped trend",
        season: SeasonUse::NeedsAll,
        values: ValueNeed::Any,
        role: Role::Named,
        cost: Cost::Heavy,
        build: |settings| Box::new(Mstl::of(&settings.seasons)),
    },
    Entry {
        name: "mstl-ets",
        summary: "the same on exponential smoothing chosen by AICc",
        season: SeasonUse::NeedsAll,
        values: ValueNeed::Any,
        role: Role::Named,
        cost: Cost::Heavy,
        build: |settings| Box::new(Mstl::with_ets(&settings.seasons)),
    },
    Entry {
        name: "mstl-theta",
        summary: "the same on theta",
        season: SeasonUse::NeedsAll,
        values: ValueNeed::Any,
        role: Role::Named,
        cost: Cost::Heavy,
        build: |settings| Box::new(Mstl::with_theta(&settings.seasons)),
    },
];

/// A name that no method bears.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no model `{name}`; known are {known}")]
pub struct UnknownModel {
    /// What was asked for.
    pub name: String,
    /// The names there are, with commas between.
    pub known: String,
}

/// The entry called `name`.
///
/// # Errors
/// [`UnknownModel`], which lists the names there are.
pub fn find(name: &str) -> Result<&'static Entry, UnknownModel> {
    FORECASTERS.iter().find(|entry| entry.name == name).ok_or_else(|| UnknownModel {
        name: name.to_owned(),
        known: FORECASTERS.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests;
