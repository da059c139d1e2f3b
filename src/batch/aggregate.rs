//! Forecasts of the sum or the mean of series, of all of a metric or by label.
//!
//! The histories are added up and the aggregate is forecast as one series. Its band comes from its own errors, in which
//! the members' errors cancel or add up as they do in truth; a sum of bands would be far too wide.

use std::collections::BTreeMap;

use crate::presets::Presets;
use crate::series::{
    Aggregate, Aggregator, Grid, History, HistoryError, Key, MetricKind, MetricSettings, Millis, Step, Zone,
};

use super::coarsen::{history_of, told_of};
use super::forecast::{ForecastAsk, ForecastFailure, SeriesForecast, forecast_newest};
use super::parallel::spread;
use super::rows::{Axis, Rows, Source};

/// Cells that are added up at most, the newest: more mean a stray timestamp in one of the histories.
const MOST_ADDED: usize = 2_000_000;

/// What is added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// Sum or mean.
    pub how: Aggregate,
    /// Labels that tell groups apart; a series without one of them has it empty.
    pub by: Vec<String>,
}

/// One aggregate.
#[derive(Debug)]
pub struct GroupForecast {
    /// What it is called: `sum(disk_used_bytes){host="a"}`.
    pub source: Source,
    /// What its members are: of counters every value is per second.
    pub kind: MetricKind,
    /// How many series are in it.
    pub n_members: usize,
    /// Its forecast, or why there is none.
    pub outcome: Result<SeriesForecast, ForecastFailure>,
}

/// Forecasts each group of series, in the order of their names. Different metrics are never added up.
///
/// `done` is told after each group.
pub fn forecast_groups(
    rows: &Rows,
    grouping: &Grouping,
    ask: &ForecastAsk,
    presets: &Presets,
    done: impl Fn() + Sync,
) -> Vec<GroupForecast> {
    let samples = rows.samples();
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (idx, source) in rows.sources.iter().enumerate() {
        groups.entry(group_of(source, grouping).name).or_default().push(idx);
    }
    let one = |members: Vec<usize>| {
        let source = group_of(&rows.sources[members[0]], grouping);
        // Series that are no metric's may be of anything.
        let known =
            if source.is_metric { rows.sources[members[0]].settings(presets) } else { MetricSettings::default() };
        let mut settings = known.aggregated(grouping.how);
        let zones = members.iter().map(|&idx| rows.sources[idx].settings(presets).time_zone);
        settings.time_zone = presets.shared_zone(zones).filter(|_| source.axis == Axis::Time);
        let histories: Vec<(usize, History)> = members
            .iter()
            .filter_map(|&idx| {
                let source = &rows.sources[idx];
                Some((idx, history_of(source, &samples[idx], &source.settings(presets)).ok()?))
            })
            .collect();
        let n_members = histories.len();
        let history = add_up(histories.iter().map(|(_, history)| history), grouping.how, settings.zone());
        let outcome = match history {
            None => Err(HistoryError::Empty.into()),
            Some(history) => {
                let named =
                    histories.iter().map(|(idx, _)| (&rows.sources[*idx].key, rows.sources[*idx].name.as_str()));
                let events = match source.axis {
                    Axis::Time => ask.events.of_aggregate(named, grouping.how).0,
                    Axis::Steps => crate::forecast::Events::default(),
                };
                let members = histories.iter().map(|(idx, _)| &rows.sources[*idx]);
                let is_mixed = histories.iter().any(|(_, member)| member.step() != history.step());
                let facts = |is_mean| source.facts(&settings, is_mean || is_mixed);
                forecast_newest(members, history, ask, facts, &events)
            }
        };
        let kind = source.kind_by(&settings);
        let outcome = outcome.map(|mut made| {
            made.notes.splice(0..0, told_of(kind).map(str::to_owned));
            made
        });
        GroupForecast { source, kind, n_members, outcome }
    };
    spread(groups.into_values().collect(), one, done)
}

/// What the group of a series is called.
fn group_of(source: &Source, grouping: &Grouping) -> Source {
    let labels = source.key.labels();
    let pairs: Vec<(&str, &str)> =
        grouping.by.iter().map(|name| (name.as_str(), labels.get(name).unwrap_or_default())).collect();
    // Names that are no metrics tell series apart, not what they measure.
    let metric = if source.is_metric { source.key.metric() } else { "series" };
    let key = Key::from_pairs(metric, &pairs).unwrap_or_else(|_| source.key.clone());
    let by: Vec<String> =
        pairs.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={value:?}")).collect();
    let by = if by.is_empty() { String::new() } else { format!("{{{}}}", by.join(",")) };
    let name = format!("{}({metric}){by}", grouping.how);
    Source { name, key, axis: source.axis, is_metric: source.is_metric }
}

/// The aggregate on the coarsest of the steps; days are those of `zone`.
fn add_up<'a>(histories: impl Iterator<Item = &'a History> + Clone, how: Aggregate, zone: Zone) -> Option<History> {
    let step: Step = histories.clone().map(History::step).max()?;
    let end = histories.clone().map(History::end).max()?;
    let first = histories.clone().map(History::start).min()?;
    let most = step.millis().saturating_mul(Millis::try_from(MOST_ADDED).unwrap_or(Millis::MAX));
    let start = first.max(end.saturating_sub(most));
    let newest = histories.clone().map(|history| history.at(history.len().saturating_sub(1))).max()?;
    let shared = histories.clone().map(History::calendar).reduce(|a, b| a.filter(|_| a == b)).flatten();
    // Where coarse cells of members with finer steps lie; months have theirs at the same instants.
    let start = if shared.is_some() { first } else { Grid::new(step, zone, newest).start_of(start) };
    let n_cells = usize::try_from((end - start) / step.millis() + 1).ok()?;
    let mut all = Aggregator::new(start, step, n_cells);
    histories.for_each(|history| all.add(history));
    Some(all.finish(how).on(shared)).filter(|history| !history.is_empty())
}
