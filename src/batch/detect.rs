//! Scores for every row of some files, in input order, and the anomalies they make.

use std::sync::Arc;

use crate::detect::{
    AlarmSettings, Anomaly, DetectError, Kind, MatrixWatcher, RowScore, Settings, Transition, Watcher,
};
use crate::presets::Presets;
use crate::series::{Millis, Sample};

use super::parallel::spread;
use super::read::Matrix;
use super::rows::{Axis, Rows, Source};
use super::table::{Column, Table};

/// Which detector, and when it alarms.
#[derive(Clone, Debug)]
pub struct DetectAsk {
    /// A registered detector.
    pub detector: String,
    /// What is assumed of every series; a preset adds what it knows of its metric.
    pub settings: Settings,
    /// When scores become an anomaly.
    pub alarm: AlarmSettings,
}

/// One scored row; NaN where there is nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scored {
    value: f64,
    score: f64,
    expected: f64,
    lower: f64,
    upper: f64,
    /// Which of the series' anomalies the row belongs to, from 1; 0 is none.
    anomaly: u32,
}

/// What was found in one series.
#[derive(Clone, Debug, Default)]
pub struct SeriesScores {
    rows: Vec<Scored>,
    /// Its anomalies, by start; the last may still be open.
    pub anomalies: Vec<Anomaly>,
}

/// Runs the detector over every series; answers stand in the order of `rows.sources`.
///
/// `warmup` holds earlier samples of the same series, scored first and not told of.
///
/// # Errors
/// When there is no such detector, or it lacks a setting.
pub fn detect_all(
    rows: &Rows,
    warmup: Option<&Rows>,
    ask: &DetectAsk,
    presets: &Presets,
    done: impl Fn() + Sync,
) -> Result<Vec<SeriesScores>, DetectError> {
    let mut before: Vec<Vec<Sample>> = vec![Vec::new(); rows.sources.len()];
    if let Some(warmup) = warmup {
        for (source, samples) in warmup.sources.iter().zip(warmup.samples()) {
            if let Some(idx) = rows.sources.iter().position(|known| known.name == source.name) {
                before[idx] = samples;
            }
        }
    }
    let items: Vec<_> = rows.sources.iter().zip(rows.samples()).zip(before).collect();
    let work = |((source, samples), before): ((&Source, Vec<Sample>), Vec<Sample>)| {
        detect_one(source, &before, &samples, ask, presets, true)
    };
    spread(items, work, done).into_iter().collect()
}

/// Runs the detector over one series; without `keep_rows` only the anomalies are kept, which is all that fits in
/// memory for very many rows.
pub(super) fn detect_one(
    source: &Source,
    before: &[Sample],
    samples: &[Sample],
    ask: &DetectAsk,
    presets: &Presets,
    keep_rows: bool,
) -> Result<SeriesScores, DetectError> {
    let metric = source.settings(presets);
    let kind = source.kind_by(&metric);
    let mut settings = ask.settings.clone();
    // The spacing is left to the detector to find, as live watching does: told it beforehand, it would lay out its
    // profiles sooner, and score otherwise.
    settings.metric = metric;
    let mut watcher = Watcher::new(&ask.detector, &settings, ask.alarm.clone(), kind)?;
    let mut found = SeriesScores::default();
    let mut n_opened = 0;
    // Earlier samples that reach into the scored ones are moved before them, spacing kept: only order matters.
    let shift = warmup_shift(before.iter().map(|sample| sample.at), samples.first().map(|sample| sample.at));
    for sample in before {
        watcher.step(Sample { at: sample.at.saturating_sub(shift), value: sample.value });
    }
    for &sample in samples {
        let outcome = watcher.step(sample);
        match outcome.transition {
            Some(Transition::Opened(_)) => n_opened = found.anomalies.len() as u32 + 1,
            Some(Transition::Closed(anomaly)) => {
                found.anomalies.push(anomaly);
                n_opened = n_opened.max(found.anomalies.len() as u32);
            }
            Some(Transition::Grew(_)) | None => {}
        }
        if keep_rows {
            let score = outcome.score;
            let or_nan = |number: Option<f64>| number.unwrap_or(f64::NAN);
            found.rows.push(Scored {
                value: outcome.value,
                score: or_nan(score.map(|score| score.value)),
                expected: or_nan(score.and_then(|score| score.expected)),
                lower: or_nan(score.and_then(|score| score.lower)),
                upper: or_nan(score.and_then(|score| score.upper)),
                anomaly: if outcome.is_in_anomaly { n_opened.max(1) } else { 0 },
            });
        }
    }
    found.anomalies.extend(watcher.open_anomaly());
    Ok(found)
}

/// By how much a warm-up must move back so that it ends before `first`; 0 when it does.
fn warmup_shift(warmup: impl Iterator<Item = Millis>, first: Option<Millis>) -> Millis {
    match (warmup.max(), first) {
        (Some(last), Some(first)) if last >= first => last - first + 1,
        _ => 0,
    }
}

/// The rows in input order: series, timestamp, value, score, expected, lo, hi, anomaly, kind.
///
/// A row that cannot be scored (the warm-up, an empty cell, a repeated timestamp) has no score, which is not the same
/// as 0. For readers that need a number in every row, `fill` writes 0 there all the same; not in a series too short
/// for its detector, which has no score to rank by at all.
pub fn detect_table(rows: &Rows, found: &[SeriesScores], fill: bool) -> Table {
    let texts: Vec<String> = rows.sources.iter().map(|source| source.name.clone()).collect();
    let unscored: Vec<f64> = found
        .iter()
        .map(|series| {
            let is_scored = series.rows.iter().any(|row| !row.score.is_nan());
            if is_scored && fill { 0.0 } else { f64::NAN }
        })
        .collect();
    let kinds: Vec<String> = Kind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect();
    let n_rows = rows.len();
    let floats = || Vec::with_capacity(n_rows);
    let (mut value, mut score, mut expected, mut lo, mut hi) = (floats(), floats(), floats(), floats(), floats());
    let mut timestamp = Vec::with_capacity(n_rows);
    let mut anomaly = Vec::with_capacity(n_rows);
    let mut kind = Vec::with_capacity(n_rows);
    let mut next = vec![0; found.len()];
    for (&source_idx, &at) in rows.source_idx.iter().zip(&rows.at) {
        let idx = source_idx as usize;
        let series = &found[idx];
        let row = series.rows[next[idx]];
        next[idx] += 1;
        timestamp.push((rows.sources[idx].axis == Axis::Time).then_some(at));
        value.push(row.value);
        score.push(if row.score.is_nan() { unscored[idx] } else { row.score });
        expected.push(row.expected);
        lo.push(row.lower);
        hi.push(row.upper);
        anomaly.push(row.anomaly > 0);
        let of = row.anomaly.checked_sub(1).and_then(|nth| series.anomalies.get(nth as usize));
        let kind_idx = of.and_then(|of| Kind::ALL.iter().position(|known| *known == of.kind));
        kind.push(kind_idx.map_or(Column::NO_NAME, |idx| idx as u32));
    }
    Table::new()
        .with("series", Column::Name { texts: Arc::from(texts), idx: rows.source_idx.clone() })
        .with("timestamp", Column::Time(timestamp))
        .with("value", Column::Float(value))
        .with("score", Column::Float(score))
        .with("expected", Column::Float(expected))
        .with("lo", Column::Float(lo))
        .with("hi", Column::Float(hi))
        .with("anomaly", Column::Bool(anomaly))
        .with("kind", Column::Name { texts: Arc::from(kinds), idx: kind })
}

/// What was found in one entity.
#[derive(Clone, Debug)]
pub struct EntityScores {
    /// The entity's name.
    pub name: String,
    axis: Axis,
    at: Vec<Millis>,
    columns: Vec<String>,
    scores: Vec<Option<RowScore>>,
    in_anomaly: Vec<bool>,
    /// Its anomalies, by start; the last may still be open.
    pub anomalies: Vec<Anomaly>,
}

/// The earlier rows of `entity` among those of `warmup`: of the same name, or, where `is_pair` says that one file was
/// given for either, whatever it is called.
///
/// # Errors
/// With the reason when there is something to warm up with, but nothing for this entity.
pub fn warmup_of<'a>(entity: &Matrix, warmup: &'a [Matrix], is_pair: bool) -> Result<Option<&'a Matrix>, String> {
    if warmup.is_empty() {
        return Ok(None);
    }
    let found = warmup.iter().find(|known| is_pair || known.name == entity.name);
    let Some(found) = found else {
        return Err(format!("`{}` is not warmed up: no earlier file of this name has rows", entity.name));
    };
    if found.columns != entity.columns {
        let name = &entity.name;
        return Err(format!("`{name}` is not warmed up: its columns are not those of the earlier `{}`", found.name));
    }
    Ok(Some(found))
}

/// Runs the matrix detector over every entity, each with earlier rows, which are scored first and not told of.
///
/// # Errors
/// When there is no such matrix detector, or it lacks a setting.
pub fn detect_matrices(
    entities: Vec<(Matrix, Option<&Matrix>)>,
    ask: &DetectAsk,
    done: impl Fn() + Sync,
) -> Result<Vec<EntityScores>, DetectError> {
    spread(entities, |(entity, before)| detect_matrix(entity, before, ask), done).into_iter().collect()
}

fn detect_matrix(entity: Matrix, before: Option<&Matrix>, ask: &DetectAsk) -> Result<EntityScores, DetectError> {
    let mut watcher = MatrixWatcher::new(&ask.detector, &entity.columns, &ask.settings, ask.alarm.clone())?;
    if let Some(before) = before {
        let shift = warmup_shift(before.at.iter().copied(), entity.at.first().copied());
        for (at, row) in before.at.iter().zip(before.values.outer_iter()) {
            watcher.step(at.saturating_sub(shift), &row.to_vec());
        }
    }
    let (mut scores, mut in_anomaly, mut anomalies) = (Vec::new(), Vec::new(), Vec::new());
    for (&at, row) in entity.at.iter().zip(entity.values.outer_iter()) {
        let outcome = watcher.step(at, &row.to_vec());
        scores.push(outcome.score);
        in_anomaly.push(outcome.is_in_anomaly);
        if let Some(Transition::Closed(anomaly)) = outcome.transition {
            anomalies.push(anomaly);
        }
    }
    anomalies.extend(watcher.open_anomaly());
    let Matrix { name, axis, at, columns, .. } = entity;
    Ok(EntityScores { name, axis, at, columns, scores, in_anomaly, anomalies })
}

/// One entity's rows: series, timestamp, score, anomaly, kind, and per input column, under its name, its share of the
/// blame. An input column whose name is taken is called `blame_` and its name.
///
/// Rows without a score are as in [`detect_table`].
pub fn entity_table(entity: &EntityScores, fill: bool) -> Table {
    let n_rows = entity.at.len();
    let is_scored = entity.scores.iter().any(Option::is_some);
    let unscored = if fill && is_scored { 0.0 } else { f64::NAN };
    let score = entity.scores.iter().map(|row| row.as_ref().map_or(unscored, |row| row.value)).collect();
    let timestamp = entity.at.iter().map(|&at| (entity.axis == Axis::Time).then_some(at)).collect();
    let kind = entity.in_anomaly.iter().map(|is_in| is_in.then(|| "multivariate".to_owned())).collect();
    let mut table = Table::new()
        .with("series", Column::Name { texts: Arc::from([entity.name.clone()]), idx: vec![0; n_rows] })
        .with("timestamp", Column::Time(timestamp))
        .with("score", Column::Float(score))
        .with("anomaly", Column::Bool(entity.in_anomaly.clone()))
        .with("kind", Column::Text(kind));
    for (idx, name) in entity.columns.iter().enumerate() {
        let blame = entity.scores.iter().map(|row| row.as_ref().map_or(unscored, |row| row.blame[idx])).collect();
        let name = if table.column(name).is_some() { format!("blame_{name}") } else { name.clone() };
        table = table.with(name, Column::Float(blame));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{HOUR, Key};

    fn rows(axis: Axis, at: impl Iterator<Item = Millis>) -> Rows {
        let key = Key::from_pairs("load", &[]).unwrap();
        let at: Vec<Millis> = at.collect();
        // A day and a week, should hours be what is counted, and a spike.
        let wave = |i: usize| ((i % 24) as f64 / 24.0 * std::f64::consts::TAU).sin() + (i % 168) as f64 / 100.0;
        let value =
            (0..at.len()).map(|i| wave(i) + ((i * 7919) % 100) as f64 / 300.0 + if i == 900 { 9.0 } else { 0.0 });
        Rows {
            sources: vec![Source { name: "load".to_owned(), key, axis, is_metric: true }],
            source_idx: vec![0; at.len()],
            value: value.collect(),
            at,
            ..Rows::default()
        }
    }

    fn scores(rows: &Rows, fill: bool) -> Vec<f64> {
        let ask =
            DetectAsk { detector: "auto".to_owned(), settings: Settings::default(), alarm: AlarmSettings::default() };
        let found = detect_all(rows, None, &ask, &Presets::none(), || {}).unwrap();
        match detect_table(rows, &found, fill).column("score") {
            Some(Column::Float(scores)) => scores.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rows_are_scored_as_live_watching_scores_samples() {
        let counted = rows(Axis::Steps, (0..1_000).map(Axis::at_step));
        let timed = rows(Axis::Time, (0..1_000).map(|i| i * HOUR));
        let mut live =
            Watcher::new("auto", &Settings::default(), AlarmSettings::default(), Default::default()).unwrap();
        let live: Vec<f64> = timed.samples()[0]
            .iter()
            .map(|sample| live.step(*sample).score.map_or(f64::NAN, |score| score.value))
            .collect();
        let bits = |scores: &[f64]| scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&scores(&timed, false)), bits(&live));
        assert_eq!(bits(&scores(&counted, false)), bits(&live));
        assert!(live[900] > 1.0);
    }

    #[test]
    fn no_score_is_not_a_score_of_0() {
        let mut rows = rows(Axis::Time, (0..1_000).map(|i| i * HOUR));
        rows.value[500] = f64::NAN;
        let told = scores(&rows, false);
        let n_cold = told.iter().take_while(|score| score.is_nan()).count();
        assert!(n_cold > 0 && told[500].is_nan() && told.iter().filter(|score| score.is_nan()).count() == n_cold + 1);
        let filled = scores(&rows, true);
        assert!((0..1_000).all(|idx| filled[idx] == if told[idx].is_nan() { 0.0 } else { told[idx] }));
    }

    #[test]
    fn an_entity_is_warmed_up_by_its_own_past_or_it_is_told() {
        let matrix = |name: &str, columns: &[&str]| Matrix {
            name: name.to_owned(),
            axis: Axis::Time,
            at: Vec::new(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            values: ndarray::Array2::zeros((0, columns.len())),
        };
        let (now, earlier) = (matrix("a", &["x", "y"]), [matrix("b", &["x", "y"])]);
        let name = |found: Result<Option<&Matrix>, String>| found.map(|found| found.map(|it| it.name.clone()));
        assert_eq!(name(warmup_of(&now, &[], false)), Ok(None));
        assert_eq!(name(warmup_of(&now, &earlier, true)), Ok(Some("b".to_owned())));
        // One of several that were given, of which the others have no rows.
        assert!(warmup_of(&now, &earlier, false).unwrap_err().contains("`a` is not warmed up: no earlier file"));
        let other = [matrix("a", &["x", "z"])];
        assert!(warmup_of(&now, &other, false).unwrap_err().contains("its columns are not those"));
    }

    #[test]
    fn a_warm_up_ends_before_what_it_warms_up_for() {
        assert_eq!(warmup_shift([1, 2, 3].into_iter(), Some(4)), 0);
        assert_eq!(warmup_shift([1, 2, 9].into_iter(), Some(4)), 6);
        assert_eq!(warmup_shift(std::iter::empty(), Some(4)), 0);
    }
}
