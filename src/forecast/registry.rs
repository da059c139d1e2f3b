//! Every forecasting method by name; the command line, HTTP, the docs and the contract tests read this one list.

use super::model::Forecaster;
use super::naive::Naive;
use crate::series::Season;

/// What an entry needs to build its method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The season that seasonal methods use; without one they answer `NoSeason` when fitted.
    pub season: Option<Season>,
}

/// A method that can be asked for by name.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name on every surface.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Makes the method from settings.
    pub build: fn(&Settings) -> Box<dyn Forecaster>,
}

/// Every method, in the order in which they are listed.
pub const FORECASTERS: &[Entry] =
    &[Entry { name: "naive", summary: "repeats the last value", build: |_| Box::new(Naive) }];

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
