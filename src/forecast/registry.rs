//! Every forecasting method by name; the command line, HTTP, the docs and the contract tests read this one list.

use super::auto::{AUTO, Auto};
use super::damped::Damped;
use super::holt::Holt;
use super::holt_winters_additive::HoltWintersAdditive;
use super::holt_winters_multiplicative::HoltWintersMultiplicative;
use super::linear::Linear;
use super::model::Forecaster;
use super::moving_average::MovingAverage;
use super::mstl::Mstl;
use super::naive::Naive;
use super::seasonal_naive::SeasonalNaive;
use super::ses::Ses;
use super::theil_sen::TheilSen;
use crate::series::Season;

/// What an entry needs to build its method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The season that seasonal methods use; without one they answer `NoSeason` when fitted.
    pub season: Option<Season>,
}

/// What a method does with a season.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeasonUse {
    /// Nothing.
    Ignores,
    /// Uses one when there is one.
    Takes,
    /// Cannot be fitted without.
    Needs,
}

/// A method that can be asked for by name.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name on every surface.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// What it does with a season.
    pub season: SeasonUse,
    /// Makes the method from settings.
    pub build: fn(&Settings) -> Box<dyn Forecaster>,
}

/// Every method, in the order in which they are listed.
pub const FORECASTERS: &[Entry] = &[
    Entry {
        name: AUTO,
        summary: "the method below that did best on the series' own past",
        season: SeasonUse::Takes,
        build: |settings| Box::new(Auto { season: settings.season }),
    },
    Entry { name: "naive", summary: "repeats the last value", season: SeasonUse::Ignores, build: |_| Box::new(Naive) },
    Entry {
        name: "seasonal-naive",
        summary: "repeats the last cycle",
        season: SeasonUse::Needs,
        build: |settings| Box::new(SeasonalNaive { season: settings.season }),
    },
    Entry {
        name: "moving-average",
        summary: "the mean of the last values; the window that forecast best",
        season: SeasonUse::Takes,
        build: |settings| Box::new(MovingAverage { season: settings.season, window: None }),
    },
    Entry {
        name: "ses",
        summary: "simple exponential smoothing: a level that forgets",
        season: SeasonUse::Ignores,
        build: |_| Box::new(Ses::default()),
    },
    Entry {
        name: "holt",
        summary: "Holt's exponential smoothing: a level and a straight trend",
        season: SeasonUse::Ignores,
        build: |_| Box::new(Holt::default()),
    },
    Entry {
        name: "damped",
        summary: "damped Holt: a level and a trend that fades",
        season: SeasonUse::Ignores,
        build: |_| Box::new(Damped::default()),
    },
    Entry {
        name: "holt-winters-additive",
        summary: "level, trend and a season that is added",
        season: SeasonUse::Needs,
        build: |settings| Box::new(HoltWintersAdditive { season: settings.season, fixed: None }),
    },
    Entry {
        name: "holt-winters-multiplicative",
        summary: "level, trend and a season that is multiplied; positive values only",
        season: SeasonUse::Needs,
        build: |settings| Box::new(HoltWintersMultiplicative { season: settings.season, fixed: None }),
    },
    Entry {
        name: "linear",
        summary: "least-squares line, with the season's profile on it",
        season: SeasonUse::Takes,
        build: |settings| Box::new(Linear { season: settings.season }),
    },
    Entry {
        name: "theil-sen",
        summary: "robust line by the median of slopes, with the season's profile on it",
        season: SeasonUse::Takes,
        build: |settings| Box::new(TheilSen { season: settings.season }),
    },
    Entry {
        name: "mstl",
        summary: "seasons and trend taken apart by augurs' MSTL, each continued",
        season: SeasonUse::Needs,
        build: |settings| Box::new(Mstl { seasons: settings.season.into_iter().collect() }),
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
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_an_unknown_one_lists_them() {
        for entry in FORECASTERS {
            assert_eq!(FORECASTERS.iter().filter(|other| other.name == entry.name).count(), 1, "{}", entry.name);
            assert!(find(entry.name).is_ok());
        }
        let message = find("prophet").unwrap_err().to_string();
        assert!(FORECASTERS.iter().all(|entry| message.contains(entry.name)), "{message}");
    }
}
