//! What the registry says of a method: its name, what it does with seasons, what values it needs, how dear it is.

use super::model::{Forecaster, Horizon};
use crate::series::Season;

/// What an entry needs to build its method.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The seasons to use, the one that stands out most first; without one, methods that need a season answer
    /// `NoSeason` when fitted.
    pub seasons: Vec<Season>,
    /// How far ahead will be asked, for methods that are made for a lead.
    pub horizon: Option<Horizon>,
}

impl Settings {
    /// The season that stands out most, for methods that take one.
    pub fn season(&self) -> Option<Season> {
        self.seasons.first().copied()
    }
}

/// What a method does with seasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeasonUse {
    /// Nothing.
    Ignores,
    /// Uses one when there is one.
    Takes,
    /// Needs one, and uses one.
    Needs,
    /// Uses all there are at once.
    TakesAll,
    /// Needs one at least, and uses all there are at once.
    NeedsAll,
}

/// What the values must be like for a method to stand for election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueNeed {
    /// Any will do.
    Any,
    /// Positive and well away from zero, for methods that multiply.
    ClearOfZero,
    /// Mostly zero and never below, for methods of rare events.
    Intermittent,
    /// Any, beside columns known beforehand, for methods that regress on them.
    KnownColumns,
    /// Any, over many cycles, for methods that ask what is usual.
    ManyCycles,
    /// Any, over many horizons, or such as leap, for methods that ask at which level they usually are.
    Level,
}

/// What a method is to the choice among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is the choice.
    Chooser,
    /// A yardstick: the others have to beat it, and it stands in for them where they cannot be judged.
    Anchor,
    /// One of those that are chosen from.
    Candidate,
    /// There for who asks for it by name; another stands for election in its stead.
    Named,
}

/// How dear one fit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// A few passes over the values; it can be fitted at every origin of a replay.
    Light,
    /// A search or a decomposition.
    Heavy,
}

/// A method that can be asked for by name.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name on every surface.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// What it does with seasons.
    pub season: SeasonUse,
    /// What the values must be like for `auto` to consider it.
    pub values: ValueNeed,
    /// What it is to `auto`.
    pub role: Role,
    /// How dear one fit is.
    pub cost: Cost,
    /// Makes the method from settings.
    pub build: fn(&Settings) -> Box<dyn Forecaster>,
}
