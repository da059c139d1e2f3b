//! How methods would have done on every series of some files.

use std::sync::Arc;

use crate::forecast::{Backtest, Coverage, Facts, Past, Request, SeasonChoice, backtest};
use crate::presets::Presets;
use crate::series::Sample;

use super::coarsen::history_of;
use super::forecast::{Ahead, ForecastFailure};
use super::parallel::spread;
use super::rows::{Rows, Source};
use super::table::{Column, Table};

/// What to replay.
#[derive(Clone, Debug)]
pub struct BacktestAsk {
    /// Registered forecasters, each replayed on each series.
    pub models: Vec<String>,
    /// Where the season comes from.
    pub season: SeasonChoice,
    /// How far each replay looks ahead.
    pub ahead: Ahead,
    /// What the band promises.
    pub coverage: Coverage,
    /// From how many points in the past.
    pub n_origins: usize,
    /// Longer histories are cut to their newest cells.
    pub most_cells: usize,
}

/// One model's replay on one series.
#[derive(Clone, Debug)]
pub struct SeriesBacktest {
    /// Which series, as an index into the rows' sources.
    pub source_idx: usize,
    /// The model that was asked for.
    pub asked: String,
    /// How it did, or why it could not be replayed.
    pub outcome: Result<Backtest, ForecastFailure>,
}

/// Replays every model on every series, series by series.
///
/// `done` is told after each replay.
pub fn backtest_all(rows: &Rows, ask: &BacktestAsk, presets: &Presets, done: impl Fn() + Sync) -> Vec<SeriesBacktest> {
    let samples = rows.samples();
    let items: Vec<(usize, &Source, &[Sample], &str)> = rows
        .sources
        .iter()
        .zip(&samples)
        .enumerate()
        .flat_map(|(idx, (source, samples))| {
            ask.models.iter().map(move |model| (idx, source, samples.as_slice(), model.as_str()))
        })
        .collect();
    let work = |(source_idx, source, samples, model): (usize, &Source, &[Sample], &str)| SeriesBacktest {
        source_idx,
        asked: model.to_owned(),
        outcome: backtest_one(source, samples, model, ask, presets),
    };
    spread(items, work, done)
}

fn backtest_one(
    source: &Source,
    samples: &[Sample],
    model: &str,
    ask: &BacktestAsk,
    presets: &Presets,
) -> Result<Backtest, ForecastFailure> {
    let metric = source.settings(presets);
    let history = history_of(source, samples, source.kind_by(&metric))?.tail(ask.most_cells);
    let request = Request {
        model: model.to_owned(),
        season: ask.season,
        horizon: ask.ahead.in_steps(source.axis, history.step())?,
    };
    let facts = Facts::from(&metric);
    Ok(backtest(Past::of(&history).with_facts(&facts), &request, ask.coverage, ask.n_origins)?)
}

/// Every replay by lead: series, model, lead, mae, bias, smape, coverage, n.
pub fn backtest_table(rows: &Rows, replays: &[SeriesBacktest]) -> Table {
    let texts: Vec<String> = rows.sources.iter().map(|source| source.name.clone()).collect();
    let done: Vec<(u32, &Backtest)> =
        replays.iter().filter_map(|replay| Some((replay.source_idx as u32, replay.outcome.as_ref().ok()?))).collect();
    let leads = || done.iter().flat_map(|(idx, replay)| replay.leads.iter().map(move |lead| (*idx, *replay, lead)));
    Table::new()
        .with("series", Column::Name { texts: Arc::from(texts), idx: leads().map(|(idx, ..)| idx).collect() })
        .with("model", Column::texts(leads().map(|(_, replay, _)| replay.model.clone())))
        .with("lead", Column::Int(leads().map(|(.., lead)| Some(lead.lead as i64)).collect()))
        .with("mae", Column::Float(leads().map(|(.., lead)| lead.mae).collect()))
        .with("bias", Column::Float(leads().map(|(.., lead)| lead.bias).collect()))
        .with("smape", Column::Float(leads().map(|(.., lead)| lead.smape).collect()))
        .with("coverage", Column::floats(leads().map(|(.., lead)| lead.coverage)))
        .with("n", Column::Int(leads().map(|(.., lead)| Some(lead.n as i64)).collect()))
}

/// Leads shown to people; the table on file has them all.
const LEADS_SHOWN: usize = 12;

/// The replays summed up over the series, by model and lead: model, lead, mae, bias, smape, coverage, n.
///
/// Every series weighs the same, so `mae` and `bias` mean little across series of different scales; `smape` and
/// `coverage` do. Of many leads an even choice is shown, the first and the last among them.
pub fn lead_summary(replays: &[SeriesBacktest]) -> Table {
    let mut models: Vec<&str> = Vec::new();
    for replay in replays {
        if !models.contains(&replay.asked.as_str()) {
            models.push(&replay.asked);
        }
    }
    let (mut model, mut lead, mut n) = (Vec::new(), Vec::new(), Vec::new());
    let (mut mae, mut bias, mut smape, mut coverage) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for asked in models {
        let of_model: Vec<&Backtest> = replays
            .iter()
            .filter(|replay| replay.asked == asked)
            .filter_map(|replay| replay.outcome.as_ref().ok())
            .collect();
        let furthest =
            of_model.iter().filter_map(|replay| replay.leads.last()).map(|lead| lead.lead).max().unwrap_or(0);
        for shown in chosen_leads(furthest) {
            let at: Vec<_> =
                of_model.iter().filter_map(|replay| replay.leads.iter().find(|lead| lead.lead == shown)).collect();
            let covered: Vec<(f64, usize)> = at.iter().filter_map(|lead| Some((lead.coverage?, lead.n))).collect();
            let n_covered: usize = covered.iter().map(|(_, n)| n).sum();
            let n_inside: f64 = covered.iter().map(|(share, n)| share * *n as f64).sum();
            let mean = |numbers: &mut dyn Iterator<Item = f64>| numbers.sum::<f64>() / at.len() as f64;
            model.push(asked.to_owned());
            lead.push(Some(shown as i64));
            mae.push(mean(&mut at.iter().map(|lead| lead.mae)));
            bias.push(mean(&mut at.iter().map(|lead| lead.bias)));
            smape.push(mean(&mut at.iter().map(|lead| lead.smape)));
            coverage.push((n_covered > 0).then(|| n_inside / n_covered as f64));
            n.push(Some(at.iter().map(|lead| lead.n as i64).sum()));
        }
    }
    Table::new()
        .with("model", Column::texts(model))
        .with("lead", Column::Int(lead))
        .with("mae", Column::Float(mae))
        .with("bias", Column::Float(bias))
        .with("smape", Column::Float(smape))
        .with("coverage", Column::floats(coverage))
        .with("n", Column::Int(n))
}

fn chosen_leads(furthest: usize) -> Vec<usize> {
    if furthest <= LEADS_SHOWN {
        return (1..=furthest).collect();
    }
    (0..LEADS_SHOWN).map(|nth| 1 + nth * (furthest - 1) / (LEADS_SHOWN - 1)).collect()
}

/// How each model did over all series: model, series, mase, smape, mae, baseline_mae, coverage.
pub fn model_summary(replays: &[SeriesBacktest]) -> Table {
    let mut models: Vec<&str> = Vec::new();
    for replay in replays {
        if !models.contains(&replay.asked.as_str()) {
            models.push(&replay.asked);
        }
    }
    let mean = |numbers: Vec<f64>| (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64);
    let of = |asked: &str| -> Vec<&Backtest> {
        let of_model = replays.iter().filter(|replay| replay.asked == asked);
        of_model.filter_map(|replay| replay.outcome.as_ref().ok()).collect()
    };
    let column = |pick: &dyn Fn(&Backtest) -> Option<f64>| {
        Column::floats(models.iter().map(|model| mean(of(model).into_iter().filter_map(pick).collect())))
    };
    Table::new()
        .with("model", Column::texts(models.iter().copied()))
        .with("series", Column::Int(models.iter().map(|model| Some(of(model).len() as i64)).collect()))
        .with("mase", column(&|replay| replay.overall.mase))
        .with("smape", column(&|replay| Some(replay.overall.smape)))
        .with("mae", column(&|replay| Some(replay.overall.mae)))
        .with("baseline_mae", column(&|replay| Some(replay.overall.baseline_mae)))
        .with("coverage", column(&|replay| replay.overall.coverage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_leads_the_first_and_the_last_are_shown() {
        assert_eq!(chosen_leads(3), [1, 2, 3]);
        let chosen = chosen_leads(48);
        assert_eq!((chosen.len(), chosen[0], chosen[11]), (LEADS_SHOWN, 1, 48));
        assert!(chosen_leads(0).is_empty());
    }
}
