//! The sets of public series, read into cases: a history, and what came after it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};
use barograph::series::{DAY, HOUR, History, MetricKind, Millis, Sample, Step};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Names of the sets, as given on the command line.
pub const SETS: [&str; 14] = [
    "m4-hourly",
    "m4-weekly",
    "m3-yearly",
    "m3-quarterly",
    "m3-monthly",
    "m3-other",
    "nn5",
    "ett",
    "nab",
    "kpi",
    "mscloud",
    "smd",
    "m1-quarterly",
    "m1-monthly",
];

/// One series and the moments from which it is to be forecast.
pub struct Series {
    pub name: String,
    pub history: History,
    /// How many cells are known, and how many are to be forecast.
    pub asks: Vec<(usize, usize)>,
}

/// Series that are forecast and scored alike.
pub struct Set {
    pub name: String,
    /// The lag of the error that MASE divides by, of Naive 2, and of the seasonal naive.
    pub season: usize,
    /// Whether many origins of few series are scored by their ratio to seasonal naive, rather than one each by OWA.
    pub is_rolling: bool,
    pub series: Vec<Arc<Series>>,
}

/// Moments of a long series that are forecast.
const N_ORIGINS: usize = 6;

/// All tables that `name` stands for: one per horizon; with `n_origins` moments of each long series, or the usual number.
pub fn read(root: &Path, name: &str, n_origins: Option<usize>) -> Result<Vec<Set>> {
    match name.split_once('-') {
        Some((folder @ ("m1" | "m3" | "m4"), frequency)) => {
            Ok(vec![competition(root, folder, frequency, name, n_origins)?])
        }
        _ => match name {
            "nn5" => Ok(vec![competition(root, "nn5", "daily", name, n_origins)?]),
            "ett" => {
                let columns = wide(&root.join("ett/ETTh1.parquet"))?;
                let series = columns.into_iter().map(|(name, samples)| of_samples(name, &samples));
                Ok(vec![
                    rolling(name, series.collect::<Result<_>>()?, &[("96 ahead", 96 * HOUR)], n_origins.unwrap_or(24))?
                        .swap_remove(0),
                ])
            }
            "nab" | "kpi" | "mscloud" => {
                let columns = long(&root.join(format!("{name}/{name}.parquet")), "timestamp")?;
                let series = columns.into_iter().map(|(name, samples)| of_samples(name, &samples));
                rolling(
                    name,
                    series.collect::<Result<_>>()?,
                    &[("1 h", HOUR), ("1 d", DAY)],
                    n_origins.unwrap_or(N_ORIGINS),
                )
            }
            "smd" => {
                let mut files: Vec<_> = std::fs::read_dir(root.join("smd/train"))
                    .context("smd/train")?
                    .filter_map(|entry| entry.ok().map(|entry| entry.path()))
                    .collect();
                files.sort();
                let mut series = Vec::new();
                for file in files {
                    let machine = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                    for (column, samples) in wide(&file)? {
                        series.push(of_samples(format!("{machine}/{column}"), &samples)?);
                    }
                }
                // What never moves is forecast by anything.
                series.retain(|(_, history)| history.values().windows(2).any(|pair| pair[0] != pair[1]));
                rolling(name, series, &[("1 h", HOUR), ("1 d", DAY)], n_origins.unwrap_or(2))
            }
            _ => bail!("there is no set `{name}`; known are {}", SETS.join(", ")),
        },
    }
}

/// A competition's frequency: one ask per series, for what its test file holds, and as many more for as much before
/// that, one after the other, as `n_origins` has room for and half of what is known lies before them.
fn competition(root: &Path, folder: &str, frequency: &str, name: &str, n_origins: Option<usize>) -> Result<Set> {
    let folder = root.join(folder);
    let info: serde_json::Value = serde_json::from_reader(File::open(folder.join("info.json"))?)?;
    let season = info[frequency]["m"].as_u64().context("info.json has no m")? as usize;
    let known = long(&folder.join(format!("{frequency}_train.parquet")), "t")?;
    let future = long(&folder.join(format!("{frequency}_test.parquet")), "t")?;
    let mut series = Vec::new();
    for (name, samples) in known {
        let Some((_, rest)) = future.iter().find(|(other, _)| *other == name) else { continue };
        let from = samples.first().map_or(0, |sample| sample.at);
        let end = rest.last().map_or(from, |sample| sample.at);
        // Gaps stay gaps.
        let mut values = vec![f64::NAN; (end - from + 1) as usize];
        let n = (rest[0].at - from) as usize;
        for sample in samples.iter().chain(rest) {
            values[(sample.at - from) as usize] = sample.value;
        }
        let ahead = values.len() - n;
        let earlier = (1..n_origins.unwrap_or(1)).map(|nr| (nr * ahead).min(n)).take_while(|back| 2 * (n - back) >= n);
        let asks = std::iter::once(0).chain(earlier).map(|back| (n - back, ahead)).collect();
        // Integers without a clock stand an hour apart, as the command line has them.
        series.push(Arc::new(Series { name, history: History::new(HOUR, Step::seconds(3600), values), asks }));
    }
    Ok(Set { name: name.to_owned(), season, is_rolling: false, series })
}

fn of_samples(name: String, samples: &[Sample]) -> Result<(String, History)> {
    let history = History::from_samples(samples, MetricKind::Gauge, None).context(name.clone())?;
    Ok((name, history))
}

/// One set per span ahead: origins spread over the last third of each series.
fn rolling(name: &str, series: Vec<(String, History)>, spans: &[(&str, Millis)], n_origins: usize) -> Result<Vec<Set>> {
    let mut sets = Vec::new();
    for (words, span) in spans {
        let mut asked = Vec::new();
        for (name, history) in &series {
            let ahead = history.step().count_in(*span).max(1);
            let n = history.len();
            if n < 4 * ahead || n < 100 {
                continue;
            }
            let (first, last) = ((2 * n / 3).min(n - ahead), n - ahead);
            let at = |nr: usize| first + (last - first) * nr / (n_origins - 1).max(1);
            let asks = (0..n_origins).map(|nr| (at(nr), ahead)).collect();
            asked.push(Arc::new(Series { name: name.clone(), history: history.clone(), asks }));
        }
        sets.push(Set { name: format!("{name}, {words}"), season: 0, is_rolling: true, series: asked });
    }
    Ok(sets)
}

fn batches(file: &Path) -> Result<Vec<RecordBatch>> {
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(File::open(file).with_context(|| file.display().to_string())?)?;
    Ok(reader.build()?.collect::<Result<_, _>>()?)
}

fn floats(column: &dyn Array) -> Result<Vec<f64>> {
    let column = cast(column, &DataType::Float64)?;
    Ok(column.as_primitive::<Float64Type>().iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

/// Timestamps in ms, or counts of steps.
fn moments(column: &dyn Array) -> Result<Vec<i64>> {
    let column = match column.data_type() {
        DataType::Timestamp(..) => cast(column, &DataType::Timestamp(TimeUnit::Millisecond, None))?,
        _ => cast(column, &DataType::Int64)?,
    };
    let column = cast(&column, &DataType::Int64)?;
    Ok(column.as_primitive::<Int64Type>().iter().map(Option::unwrap_or_default).collect())
}

/// Columns `series`, `time` and `value`; samples in the order of the rows.
fn long(file: &Path, time: &str) -> Result<Vec<(String, Vec<Sample>)>> {
    let mut found: Vec<(String, Vec<Sample>)> = Vec::new();
    for batch in batches(file)? {
        let column = |name: &str| batch.column_by_name(name).with_context(|| format!("{}: no {name}", file.display()));
        let names = cast(column("series")?, &DataType::Utf8)?;
        let (at, values) = (moments(column(time)?)?, floats(column("value")?)?);
        for (idx, name) in names.as_string::<i32>().iter().enumerate() {
            let name = name.unwrap_or_default();
            if found.last().is_none_or(|(last, _)| last != name) {
                found.push((name.to_owned(), Vec::new()));
            }
            if let Some((_, samples)) = found.last_mut() {
                samples.push(Sample { at: at[idx], value: values[idx] });
            }
        }
    }
    Ok(found)
}

/// A `timestamp` (or `date`) and one column per series.
fn wide(file: &Path) -> Result<Vec<(String, Vec<Sample>)>> {
    let mut found: Vec<(String, Vec<Sample>)> = Vec::new();
    for batch in batches(file)? {
        let schema = batch.schema();
        let at = moments(batch.column(0))?;
        for (nr, field) in schema.fields().iter().enumerate().skip(1).filter(|(_, field)| field.name() != "label") {
            let values = floats(batch.column(nr))?;
            if found.len() < nr {
                found.push((field.name().clone(), Vec::new()));
            }
            let rows = at.iter().zip(values).map(|(&at, value)| Sample { at, value });
            found[nr - 1].1.extend(rows);
        }
    }
    Ok(found)
}
