//! How right methods would have been on every series of some files.
//!
//! Each origin of each series is work of its own, spread over the cores; what adds up to a series, a model and a whole
//! is added up afterwards, in order.

use std::sync::Arc;

use crate::events::PlannedEvents;
use crate::forecast::{
    Backtest, Coverage, Events, Facts, Past, Regressor, Request, SeasonChoice, Tally, UnderEvents, backtest_at,
    lead_group, origins,
};
use crate::presets::Presets;
use crate::series::{History, Sample};

use super::ahead::Ahead;
use super::coarsen::history_and_notes;
use super::forecast::{ForecastFailure, events_of};
use super::known::KnownColumns;
use super::parallel::spread;
use super::rows::{Rows, Source};
use super::shown::{Shown, shown};
use super::table::{Column, Table};

/// What to replay.
#[derive(Clone, Debug)]
pub struct BacktestAsk {
    /// Registered forecasters, each judged on each series.
    pub models: Vec<String>,
    /// Where the season comes from.
    pub season: SeasonChoice,
    /// How far each forecast looks ahead.
    pub ahead: Ahead,
    /// What the band promises.
    pub coverage: Coverage,
    /// From how many points in the past.
    pub n_origins: usize,
    /// The newest cells that are looked at; `None` as many as are usual for the horizon.
    pub cells: Option<usize>,
    /// What was known to change the series; what came in maintenance windows is not judged.
    pub events: Arc<PlannedEvents>,
    /// What was known beforehand beside the series.
    pub columns: Arc<KnownColumns>,
}

/// One model on one series.
#[derive(Clone, Debug)]
pub struct SeriesBacktest {
    /// Which series, as an index into the rows' sources.
    pub source_idx: usize,
    /// The model that was asked for.
    pub asked: String,
    /// How it did, or why it could not be judged.
    pub outcome: Result<Backtest, ForecastFailure>,
    /// What was left out or made coarser, a sentence each; with the first model only.
    pub notes: Vec<String>,
}

/// A series with what each of its origins shares.
struct Prepared {
    source_idx: usize,
    history: History,
    facts: Facts,
    events: Events,
    columns: Vec<Regressor>,
    request: Request,
    origins: Vec<usize>,
    notes: Vec<String>,
}

/// Judges every model on every series; answers stand series by series, models in the order asked.
///
/// `begin` is told how many forecasts will be made, `done` after each.
pub fn backtest_all(
    rows: &Rows,
    ask: &BacktestAsk,
    presets: &Presets,
    begin: impl FnOnce(usize),
    done: impl Fn() + Sync,
) -> Vec<SeriesBacktest> {
    let items: Vec<(usize, (&Source, Vec<Sample>))> = rows.sources.iter().zip(rows.samples()).enumerate().collect();
    let prepared: Vec<(usize, Result<Prepared, ForecastFailure>)> =
        spread(items, |(idx, (source, samples))| (idx, prepare(idx, source, &samples, ask, presets)), || ());
    let items: Vec<(&Prepared, &str, usize)> = prepared
        .iter()
        .filter_map(|(_, prepared)| prepared.as_ref().ok())
        .flat_map(|it| ask.models.iter().map(move |model| (it, model.as_str())))
        .flat_map(|(it, model)| it.origins.iter().map(move |origin| (it, model, *origin)))
        .collect();
    begin(items.len());
    let judged = spread(items, |(it, model, origin)| (it.source_idx, model, judge(it, model, origin, ask)), done);

    let mut judged = judged.into_iter().peekable();
    let mut all = Vec::with_capacity(prepared.len() * ask.models.len());
    for (source_idx, prepared) in &prepared {
        for (nr, model) in ask.models.iter().enumerate() {
            let outcome = match prepared {
                Err(failure) => Err(failure.clone()),
                Ok(it) => {
                    let mut report = Backtest::default();
                    let mut failure = crate::forecast::ForecastError::TooShort { got: it.history.len() }.into();
                    while let Some((.., one)) =
                        judged.next_if(|(idx, asked, _)| (*idx, *asked) == (*source_idx, model.as_str()))
                    {
                        match one {
                            Ok(one) => report.merge(&one),
                            Err(error) => failure = error,
                        }
                    }
                    if report.n_origins > 0 { Ok(report) } else { Err(failure) }
                }
            };
            let told = prepared.as_ref().ok().filter(|_| nr == 0);
            let notes = told.map(|it| it.notes.clone()).unwrap_or_default();
            all.push(SeriesBacktest { source_idx: *source_idx, asked: model.clone(), outcome, notes });
        }
    }
    all
}

fn prepare(
    source_idx: usize,
    source: &Source,
    samples: &[Sample],
    ask: &BacktestAsk,
    presets: &Presets,
) -> Result<Prepared, ForecastFailure> {
    let metric = source.settings(presets);
    let (history, told) = history_and_notes(source, samples, &metric)?;
    // What has begun lies ahead of every origin.
    let Shown { history, horizon, season, is_mean, mut notes, begun: _ } =
        shown(source.axis, history, ask.ahead, ask.season, ask.cells, metric.zone())?;
    notes.splice(0..0, told);
    let request = Request { season, horizon, ..Request::default() };
    let origins = origins(&history, &request, ask.n_origins);
    let n_judged = origins.first().map_or(0, |first| history.len() - first);
    if (1..horizon.steps()).contains(&n_judged) {
        let (n_all, n_cells) = (horizon.steps(), history.len());
        notes.push(format!(
            "{n_judged} of {n_all} steps ahead are judged at most: its history has no more than {n_cells}"
        ));
    }
    let events = events_of(source, &ask.events);
    let facts = source.facts(&metric, is_mean);
    let (columns, more) = ask.columns.beside(std::iter::once(source), &history, 0)?;
    notes.extend(more);
    let past = Past::of(&history).with_facts(&facts).with_regressors(&columns);
    notes.extend(UnderEvents::influences(&past, &events, &request).iter().map(|it| format!("by the whole past, {it}")));
    Ok(Prepared { source_idx, history, facts, events, columns, request, origins, notes })
}

fn judge(it: &Prepared, model: &str, origin: usize, ask: &BacktestAsk) -> Result<Backtest, ForecastFailure> {
    let request = Request { model: model.to_owned(), ..it.request.clone() };
    let past = Past::of(&it.history).with_facts(&it.facts).with_regressors(&it.columns);
    Ok(backtest_at(past, &it.events, &request, ask.coverage, origin)?)
}

/// What a row of figures is about.
struct Line<'a> {
    /// `None` is every series.
    source_idx: Option<usize>,
    asked: &'a str,
    chosen: Option<String>,
    n_series: usize,
    n_origins: usize,
    season: Option<usize>,
    n_fallbacks: usize,
    /// First and last lead; `None` is all.
    leads: Option<(usize, usize)>,
    tally: Tally,
}

impl Line<'_> {
    /// Of several series by scaled errors: bytes and ratios do not add up.
    fn relative(&self) -> Option<f64> {
        if self.n_series > 1 { self.tally.scaled_relative() } else { self.tally.relative() }
    }
}

/// The models in the order in which they were asked, each with its backtests over all series.
fn by_model(all: &[SeriesBacktest]) -> Vec<(&str, Vec<(usize, &Backtest)>)> {
    let mut models: Vec<(&str, Vec<(usize, &Backtest)>)> = Vec::new();
    for one in all {
        let at = models.iter().position(|(asked, _)| *asked == one.asked).unwrap_or_else(|| {
            models.push((&one.asked, Vec::new()));
            models.len() - 1
        });
        models[at].1.extend(one.outcome.as_ref().ok().map(|report| (one.source_idx, report)));
    }
    models
}

/// One model over all series.
fn whole<'a>(asked: &'a str, reports: &[(usize, &Backtest)]) -> (Line<'a>, Vec<Tally>) {
    let mut whole = Backtest::default();
    reports.iter().for_each(|(_, report)| whole.merge(report));
    let line = Line {
        source_idx: None,
        asked,
        chosen: chosen(&whole),
        n_series: reports.len(),
        n_origins: whole.n_origins,
        // Steps of series with different spacing are not the same season.
        season: None,
        n_fallbacks: whole.n_fallbacks,
        leads: None,
        tally: whole.overall,
    };
    (line, whole.leads)
}

/// The methods that forecast, with how often each did when there were several.
fn chosen(report: &Backtest) -> Option<String> {
    let mut models: Vec<&(String, usize)> = report.models.iter().collect();
    models.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    match models.as_slice() {
        [] => None,
        [(model, _)] => Some(model.clone()),
        [(model, n), rest @ ..] => {
            let others =
                if rest.len() > 1 { format!(" and {} others", rest.len()) } else { format!(", {}", rest[0].0) };
            Some(format!("{model} {n}/{}{others}", report.n_origins))
        }
    }
}

fn series_lines(all: &[SeriesBacktest]) -> Vec<(Line<'_>, &[Tally])> {
    let mut lines = Vec::with_capacity(all.len());
    for SeriesBacktest { source_idx, asked, outcome, .. } in all {
        let Ok(report) = outcome else { continue };
        let line = Line {
            source_idx: Some(*source_idx),
            asked: asked.as_str(),
            chosen: chosen(report),
            n_series: 1,
            n_origins: report.n_origins,
            season: report.season(),
            n_fallbacks: report.n_fallbacks,
            leads: None,
            tally: report.overall,
        };
        lines.push((line, report.leads.as_slice()));
    }
    lines
}

/// Every figure: per series and model a row over all leads (`lead` empty) and one for each lead; then the same over
/// all series (`series` empty).
///
/// Columns: series, model, chosen, origins, lead, n, mase, relative, smape, msis, coverage, mae, bias, season,
/// fallbacks. `mae` and `bias` are in the series' unit, and empty over several series; `relative` is then of scaled
/// errors, as mase is. `season` is the one used most often, `fallbacks` at how many origins `auto` fell back.
pub fn backtest_table(rows: &Rows, all: &[SeriesBacktest]) -> Table {
    fn with_leads<'a>(line: Line<'a>, leads: &[Tally]) -> Vec<Line<'a>> {
        let each = leads.iter().enumerate().filter(|(_, tally)| tally.n() > 0).map(|(idx, tally)| Line {
            leads: Some((idx + 1, idx + 1)),
            tally: *tally,
            chosen: line.chosen.clone(),
            ..line
        });
        let each: Vec<Line<'a>> = each.collect();
        std::iter::once(line).chain(each).collect()
    }
    let mut lines: Vec<Line<'_>> =
        series_lines(all).into_iter().flat_map(|(line, leads)| with_leads(line, leads)).collect();
    for (asked, reports) in by_model(all).iter().filter(|(_, reports)| !reports.is_empty()) {
        let (line, leads) = whole(asked, reports);
        lines.extend(with_leads(line, &leads));
    }
    let texts: Vec<String> = rows.sources.iter().map(|source| source.name.clone()).collect();
    let series = lines.iter().map(|line| line.source_idx.map_or(Column::NO_NAME, |idx| idx as u32)).collect();
    let unit = |line: &Line<'_>, figure: Option<f64>| figure.filter(|_| line.n_series == 1);
    Table::new()
        .with("series", Column::Name { texts: Arc::from(texts), idx: series })
        .with("model", Column::texts(lines.iter().map(|line| line.asked)))
        .with("chosen", Column::Text(lines.iter().map(|line| line.chosen.clone()).collect()))
        .with("origins", Column::Int(lines.iter().map(|line| Some(line.n_origins as i64)).collect()))
        .with("lead", Column::Int(lines.iter().map(|line| line.leads.map(|(lead, _)| lead as i64)).collect()))
        .with("n", Column::Int(lines.iter().map(|line| Some(line.tally.n() as i64)).collect()))
        .with("mase", Column::floats(lines.iter().map(|line| line.tally.mase())))
        .with("relative", Column::floats(lines.iter().map(Line::relative)))
        .with("smape", Column::floats(lines.iter().map(|line| line.tally.smape())))
        .with("msis", Column::floats(lines.iter().map(|line| line.tally.msis())))
        .with("coverage", Column::floats(lines.iter().map(|line| line.tally.coverage())))
        .with("mae", Column::floats(lines.iter().map(|line| unit(line, line.tally.mae()))))
        .with("bias", Column::floats(lines.iter().map(|line| unit(line, line.tally.bias()))))
        .with("season", Column::Int(lines.iter().map(|line| line.season.map(|steps| steps as i64)).collect()))
        .with("fallbacks", Column::Int(lines.iter().map(|line| Some(line.n_fallbacks as i64)).collect()))
}

/// Each model over all series, for people: model, series, origins, mase, relative, smape, msis, coverage, bias (in the
/// unit of mase).
pub fn model_summary(all: &[SeriesBacktest]) -> Table {
    let lines: Vec<Line<'_>> = by_model(all).iter().map(|(asked, reports)| whole(asked, reports).0).collect();
    let table = Table::new()
        .with("model", Column::texts(lines.iter().map(|line| line.asked)))
        .with("series", Column::Int(lines.iter().map(|line| Some(line.n_series as i64)).collect()))
        .with("origins", Column::Int(lines.iter().map(|line| Some(line.n_origins as i64)).collect()));
    figures(table, &lines)
}

/// Each model over all series by groups of leads, each twice as long as the one before, for people.
pub fn lead_summary(all: &[SeriesBacktest]) -> Table {
    let mut lines = Vec::new();
    for (asked, reports) in by_model(all) {
        let (line, leads) = whole(asked, &reports);
        let mut first = 1;
        while first <= leads.len() {
            let last = lead_group(first).1.min(leads.len());
            let mut tally = Tally::default();
            leads[first - 1..last].iter().for_each(|lead| tally.merge(lead));
            lines.push(Line { leads: Some((first, last)), tally, chosen: None, ..line });
            first = last + 1;
        }
    }
    let span =
        |(first, last): (usize, usize)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let table = Table::new()
        .with("model", Column::texts(lines.iter().map(|line| line.asked)))
        .with("leads", Column::Text(lines.iter().map(|line| line.leads.map(span)).collect()));
    figures(table, &lines)
}

/// Each series, for people: series, model, the method that was chosen, and the figures.
pub fn series_summary(rows: &Rows, all: &[SeriesBacktest]) -> Table {
    let lines: Vec<Line<'_>> = series_lines(all).into_iter().map(|(line, _)| line).collect();
    let name = |line: &Line<'_>| line.source_idx.map(|idx| rows.sources[idx].name.clone());
    let table = Table::new()
        .with("series", Column::Text(lines.iter().map(name).collect()))
        .with("model", Column::texts(lines.iter().map(|line| line.asked)))
        .with("chosen", Column::Text(lines.iter().map(|line| line.chosen.clone()).collect()));
    figures(table, &lines)
}

fn figures(table: Table, lines: &[Line<'_>]) -> Table {
    table
        .with("mase", Column::floats(lines.iter().map(|line| line.tally.mase())))
        .with("relative", Column::floats(lines.iter().map(Line::relative)))
        .with("smape", Column::floats(lines.iter().map(|line| line.tally.smape())))
        .with("msis", Column::floats(lines.iter().map(|line| line.tally.msis())))
        .with("coverage", Column::floats(lines.iter().map(|line| line.tally.coverage())))
        .with("bias", Column::floats(lines.iter().map(|line| line.tally.scaled_bias())))
        .with("n", Column::Int(lines.iter().map(|line| Some(line.tally.n() as i64)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Axis;
    use crate::forecast::Horizon;
    use crate::series::{HOUR, Key};

    /// A line and a wave, hourly.
    fn rows() -> Rows {
        let source = |name: &str| Source {
            name: name.to_owned(),
            key: Key::from_pairs(name, &[]).unwrap(),
            axis: Axis::Time,
            is_metric: false,
        };
        let mut rows = Rows { sources: vec![source("line"), source("short")], ..Rows::default() };
        for t in 0..200i64 {
            rows.source_idx.push(0);
            rows.at.push(t * HOUR);
            rows.value.push(t as f64);
        }
        rows.source_idx.extend([1, 1]);
        rows.at.extend([0, HOUR]);
        rows.value.extend([1.0, 2.0]);
        rows
    }

    #[test]
    fn every_series_model_and_lead_has_its_row_and_so_has_the_whole() {
        let ask = BacktestAsk {
            models: vec!["naive".to_owned(), "linear".to_owned()],
            season: SeasonChoice::None,
            ahead: Ahead::Steps(Horizon::new(5).unwrap()),
            coverage: Coverage::P95,
            n_origins: 4,
            cells: None,
            events: Arc::default(),
            columns: Arc::default(),
        };
        let (n_told, n_done) = (std::cell::Cell::new(0), std::sync::atomic::AtomicUsize::new(0));
        let done = || {
            n_done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        };
        let all = backtest_all(&rows(), &ask, &Presets::none(), |n| n_told.set(n), done);
        assert_eq!((n_told.get(), n_done.into_inner()), (8, 8));
        assert_eq!(all.iter().map(|one| one.outcome.is_ok()).collect::<Vec<_>>(), [true, true, false, false]);
        let table = backtest_table(&rows(), &all);
        // One series of two is long enough: for each model the whole and five leads, and again over all series.
        assert_eq!(table.n_rows(), 2 * 6 * 2);
        let Some(Column::Float(mase)) = table.column("mase") else { panic!("{table:?}") };
        for (idx, expected) in [3.0, 1.0, 2.0, 3.0, 4.0, 5.0].into_iter().enumerate() {
            assert!([mase[idx], mase[12 + idx]].iter().all(|mase| (mase - expected).abs() < 1e-9), "{mase:?}");
        }
        let shown = lead_summary(&all);
        let Some(Column::Text(leads)) = shown.column("leads") else { panic!("{shown:?}") };
        let leads: Vec<&str> = leads.iter().flatten().map(String::as_str).collect();
        assert_eq!(leads, ["1", "2", "3-4", "5", "1", "2", "3-4", "5"]);
        assert_eq!((model_summary(&all).n_rows(), series_summary(&rows(), &all).n_rows()), (2, 2));
    }
}
