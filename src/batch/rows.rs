//! Rows as they stood in the files, and the series they belong to.

use hashbrown::HashMap;

use crate::forecast::Facts;
use crate::presets::{Presets, Rule};
use crate::series::{Key, LabelLimits, Labels, METRIC_NAME, MetricKind, MetricSettings, Millis, Sample, Step};

/// What dates the rows of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Axis {
    /// Timestamps.
    Time,
    /// Whole numbers that count steps: such a series has an order but no clock.
    Steps,
}

impl Axis {
    /// The stand-in for one step of a series without a clock. An hour, because the calendar's cycles in hours (12, 24,
    /// 168) are those that are looked for in plain counts of steps as well.
    pub const STEP: Step = Step::seconds(3_600);

    /// The stand-in timestamp of step number `t`.
    pub fn at_step(t: i64) -> Millis {
        t.saturating_mul(Axis::STEP.millis())
    }

    /// The spacing to put the series on: found from the timestamps, or the stand-in.
    pub fn step(self) -> Option<Step> {
        match self {
            Axis::Time => None,
            Axis::Steps => Some(Axis::STEP),
        }
    }
}

/// A series as the files name it.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// What it is called in the answers: as in the file's `series` column, the column's name, or its selector.
    pub name: String,
    /// The same as labels, for presets, limits and incidents.
    pub key: Key,
    /// What dates its rows.
    pub axis: Axis,
    /// Whether the file said which metric it is, by a metric column or a selector; only then may its name decide
    /// that it is a counter. A column that happens to end in `_count` is taken as it is.
    pub is_metric: bool,
}

impl Source {
    /// What `presets` say of the metric. A series or file that is only called like a metric is taken for it, but for a
    /// counter's: whether its values are the counter's or rates already, nobody knows.
    pub fn rule<'a>(&self, presets: &'a Presets) -> Option<&'a Rule> {
        if self.is_metric {
            return presets.rule_for(&self.key);
        }
        let labels = self.key.labels().without_metric();
        let pairs: Vec<(&str, &str)> = labels.chain([(METRIC_NAME, bare(self.key.metric()))]).collect();
        let key = Key::new(Labels::new(pairs, &LabelLimits::default()).ok()?);
        presets.rule_for(&key).filter(|rule| rule.metric.kind != Some(MetricKind::Counter))
    }

    /// What `presets` know of the metric; the defaults where they know nothing.
    pub fn settings(&self, presets: &Presets) -> MetricSettings {
        let metric = presets.settings_by(self.rule(presets));
        match self.axis {
            Axis::Time => metric,
            // Steps have no days that a clock could move.
            Axis::Steps => MetricSettings { time_zone: None, ..metric },
        }
    }

    /// What is declared in `settings`; `is_mean` when cells are means of values.
    pub fn facts(&self, settings: &MetricSettings, is_mean: bool) -> Facts {
        Facts::declared(settings, bare(self.key.metric()), self.kind_by(settings), is_mean)
    }

    /// Gauge or counter: as declared in `settings`, else as the metric's name says.
    pub fn kind_by(&self, settings: &MetricSettings) -> MetricKind {
        if self.is_metric { settings.kind_of(self.key.metric()) } else { settings.kind.unwrap_or_default() }
    }
}

/// The name without the folders and the ending of a file that is called so.
fn bare(name: &str) -> &str {
    let name = name.rsplit('/').next().unwrap_or(name);
    [".parquet", ".csv"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

/// Every row that was read, in input order, as columns.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The series, in order of first appearance.
    pub sources: Vec<Source>,
    /// Whose row: an index into `sources`.
    pub source_idx: Vec<u32>,
    /// When; for [`Axis::Steps`] the stand-in.
    pub at: Vec<Millis>,
    /// What; NaN where the file has no value.
    pub value: Vec<f64>,
    /// What was passed over, to be told once.
    pub notes: Vec<String>,
    /// Files that were to have rows and have none, likewise.
    pub warnings: Vec<String>,
}

impl Rows {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Adds another file's rows; series with the same name and labels become one.
    pub fn append(&mut self, part: Rows) {
        if self.sources.is_empty() {
            let (notes, warnings) = (std::mem::take(&mut self.notes), std::mem::take(&mut self.warnings));
            *self = part;
            self.notes.splice(0..0, notes);
            self.warnings.splice(0..0, warnings);
            return;
        }
        let known: HashMap<(&str, &Key, Axis), u32> = self
            .sources
            .iter()
            .enumerate()
            .map(|(idx, source)| ((source.name.as_str(), &source.key, source.axis), idx as u32))
            .collect();
        let n_known = self.sources.len() as u32;
        let mut new: Vec<Source> = Vec::new();
        let mapping: Vec<u32> = part
            .sources
            .into_iter()
            .map(|source| match known.get(&(source.name.as_str(), &source.key, source.axis)) {
                Some(&idx) => idx,
                None => {
                    new.push(source);
                    n_known + new.len() as u32 - 1
                }
            })
            .collect();
        drop(known);
        self.sources.extend(new);
        self.source_idx.extend(part.source_idx.into_iter().map(|idx| mapping[idx as usize]));
        self.at.extend(part.at);
        self.value.extend(part.value);
        self.notes.extend(part.notes);
        self.warnings.extend(part.warnings);
    }

    /// Each series' samples in row order, which need not be time order.
    pub fn samples(&self) -> Vec<Vec<Sample>> {
        let mut n_rows = vec![0; self.sources.len()];
        for &idx in &self.source_idx {
            n_rows[idx as usize] += 1;
        }
        let mut samples: Vec<Vec<Sample>> = n_rows.into_iter().map(Vec::with_capacity).collect();
        for ((&idx, &at), &value) in self.source_idx.iter().zip(&self.at).zip(&self.value) {
            samples[idx as usize].push(Sample { at, value });
        }
        samples
    }
}

/// Reads a text such as `disk_used{host="a"}` as labels; `None` when it is a plain name.
pub(super) fn key_of_selector(text: &str) -> Option<Key> {
    if !text.ends_with('}') {
        return None;
    }
    let selector = crate::query::parse_selector(text).ok()?;
    let is_exact = selector.matchers.iter().all(|matcher| matcher.op() == crate::series::MatchOp::Equal);
    let metric = selector.fixed_metric()?.to_owned();
    let pairs: Vec<(&str, &str)> = selector
        .matchers
        .iter()
        .filter(|matcher| matcher.name() != METRIC_NAME)
        .map(|matcher| (matcher.name(), matcher.value()))
        .collect();
    if is_exact { Key::from_pairs(&metric, &pairs).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(names: &[&str], source_idx: &[u32]) -> Rows {
        let source = |name: &&str| Source {
            name: (*name).to_owned(),
            key: Key::from_pairs(name, &[]).unwrap(),
            axis: Axis::Time,
            is_metric: false,
        };
        Rows {
            sources: names.iter().map(source).collect(),
            source_idx: source_idx.to_vec(),
            at: (0..source_idx.len() as i64).collect(),
            value: vec![1.0; source_idx.len()],
            ..Rows::default()
        }
    }

    #[test]
    fn files_with_the_same_series_become_one() {
        let mut all = Rows::default();
        all.append(rows(&["a", "b"], &[0, 1, 0]));
        all.append(rows(&["c", "b"], &[1, 0]));
        assert_eq!(all.sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(all.source_idx, [0, 1, 0, 1, 2]);
        let n_samples: Vec<usize> = all.samples().iter().map(Vec::len).collect();
        assert_eq!(n_samples, [2, 2, 1]);
    }

    #[test]
    fn only_a_declared_metric_can_be_a_counter() {
        let mut source = rows(&["orders_count"], &[0]).sources.remove(0);
        assert_eq!(source.kind_by(&MetricSettings::default()), MetricKind::Gauge);
        source.is_metric = true;
        assert_eq!(source.kind_by(&MetricSettings::default()), MetricKind::Counter);
    }
}
