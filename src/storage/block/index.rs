//! A block's index: which rows are whose, and where the pages are. `sidecar.rs` puts it into a file.
//!
//! A selector is answered from here, and the pages it needs are read from the block; nothing else of it is. Small, as
//! many blocks' indexes are in memory: 12 bytes a series beside the keys, which blocks of the same series share.

use std::cmp::Ordering;
use std::sync::Arc;

use super::super::error::BlockError;
use super::super::texts::{TextId, Texts};
use super::keys::{BlockKeys, KeysBuilder};
use super::narrow::Narrow;
use super::pages::Pages;
use crate::series::{Key, Labels, METRIC_NAME, Millis, SeriesId};

/// One series' rows in a block: neighbours, in time order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::storage) struct Run {
    /// Its place among the runs of the index.
    pub(in crate::storage) number: usize,
    pub(in crate::storage) id: SeriesId,
    pub(in crate::storage) row_start: u64,
    pub(in crate::storage) n_rows: u32,
    pub(in crate::storage) min_time: Millis,
    pub(in crate::storage) max_time: Millis,
}

/// Every run of a block, in row order, and its pages.
#[derive(Debug, Default, PartialEq)]
pub(in crate::storage) struct BlockIndex {
    keys: Arc<BlockKeys>,
    rows: Rows,
    pub(super) pages: Pages,
}

/// What an index says of each run beside its key.
#[derive(Debug, Default, PartialEq)]
struct Rows {
    /// The row after the last.
    ends: Narrow,
    min_times: Narrow,
    max_times: Narrow,
    /// None where they were let go of.
    last_values: Vec<f64>,
}

/// The order of series in a block: metric, id, and in the rare case of equal ids the labels.
pub(in crate::storage) fn block_order(a: &Key, b: &Key) -> Ordering {
    let by_name = a.metric().cmp(b.metric()).then_with(|| a.id().cmp(&b.id()));
    by_name.then_with(|| a.labels().iter().cmp(b.labels().iter()))
}

impl Rows {
    fn len(&self) -> usize {
        self.ends.len()
    }

    /// The row after the last of the run with this number.
    #[inline]
    fn end(&self, number: usize) -> u64 {
        self.ends.get(number).cast_unsigned()
    }

    fn n_rows(&self) -> u64 {
        self.len().checked_sub(1).map_or(0, |last| self.end(last))
    }

    #[inline]
    fn run(&self, number: usize, id: SeriesId) -> Run {
        let row_start = number.checked_sub(1).map_or(0, |before| self.end(before));
        // It was a number of 32 bits when it was pushed.
        let n_rows = (self.end(number) - row_start) as u32;
        Run {
            number,
            id,
            row_start,
            n_rows,
            min_time: self.min_times.get(number),
            max_time: self.max_times.get(number),
        }
    }

    fn columns(&mut self) -> [&mut Narrow; 3] {
        [&mut self.ends, &mut self.min_times, &mut self.max_times]
    }

    fn n_bytes(&self) -> usize {
        let Rows { ends, min_times, max_times, last_values } = self;
        ends.n_bytes() + min_times.n_bytes() + max_times.n_bytes() + last_values.capacity() * size_of::<f64>()
    }
}

impl BlockIndex {
    pub(in crate::storage) fn n_runs(&self) -> usize {
        self.rows.len()
    }

    /// The run with this number.
    ///
    /// # Panics
    /// When there are fewer.
    #[inline]
    pub(in crate::storage) fn run(&self, number: usize) -> Run {
        self.rows.run(number, self.keys.id(number))
    }

    /// All runs, in row order.
    pub(in crate::storage) fn runs(&self) -> impl ExactSizeIterator<Item = Run> + Clone {
        (0..self.n_runs()).map(|number| self.run(number))
    }

    /// When its oldest and its newest sample are; `None` without any.
    pub(in crate::storage) fn span(&self) -> Option<(Millis, Millis)> {
        Some((self.runs().map(|run| run.min_time).min()?, self.runs().map(|run| run.max_time).max()?))
    }

    /// The last value of a run; `None` when only what reading needs was kept.
    pub(super) fn last_value(&self, number: usize) -> Option<f64> {
        self.rows.last_values.get(number).copied()
    }

    /// The same without what is in the sidecar for others and without room that is not needed, to be kept.
    pub(super) fn for_reading(mut self) -> BlockIndex {
        self.rows.last_values = Vec::new();
        self.rows.columns().into_iter().for_each(Narrow::shrink_to_fit);
        self
    }

    /// Whose runs they are.
    pub(in crate::storage) fn keys(&self) -> &Arc<BlockKeys> {
        &self.keys
    }

    /// About how many bytes of memory it takes, its keys excepted, which others may share.
    pub(in crate::storage) fn n_own_bytes(&self) -> usize {
        self.rows.n_bytes() + self.pages.n_bytes()
    }

    pub(in crate::storage) fn n_rows(&self) -> u64 {
        self.rows.n_rows()
    }

    /// Numbers of the names and of the values of a run's labels, in name order.
    pub(in crate::storage) fn label_ids(&self, run: &Run) -> impl Iterator<Item = (TextId, TextId)> + Clone {
        self.keys.label_ids(run.number)
    }

    /// A run's labels, the metric's name among them, in name order.
    pub(in crate::storage) fn labels(&self, run: &Run) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.keys.labels(run.number)
    }

    /// The text with this number.
    pub(in crate::storage) fn text(&self, id: TextId) -> &str {
        self.texts().get(id)
    }

    /// How many texts there are; their numbers begin at 0.
    pub(in crate::storage) fn n_texts(&self) -> usize {
        self.texts().len()
    }

    pub(super) fn texts(&self) -> &Texts {
        &self.keys.texts
    }

    /// The metric's name.
    pub(in crate::storage) fn metric(&self, run: &Run) -> &str {
        self.labels(run).find(|(name, _)| *name == METRIC_NAME).map_or("", |(_, value)| value)
    }

    /// What answers the number of the metric's name of a run; `None` when it has none.
    pub(in crate::storage) fn metric_ids(&self) -> impl Fn(&Run) -> Option<TextId> {
        let places = self.keys.places_of(METRIC_NAME);
        move |run| self.keys.value_at(run.number, &places)
    }

    /// Whether both number their texts, and their lists of label names, in the same way.
    pub(in crate::storage) fn has_texts_of(&self, other: &BlockIndex) -> bool {
        self.keys.has_texts_of(&other.keys)
    }

    /// The key of a run's series.
    pub(in crate::storage) fn key(&self, run: &Run) -> Result<Key, BlockError> {
        Labels::from_sorted(self.labels(run)).map(Key::new).map_err(|error| BlockError::Damaged(error.to_string()))
    }

    /// Whether it says where the pages of its rows are, as that of a block does.
    pub(in crate::storage) fn has_pages(&self) -> bool {
        self.pages.n_rows == self.n_rows()
    }

    /// Whether both say the same of what both have, in whatever order their texts are numbered.
    pub(in crate::storage) fn agrees(&self, other: &BlockIndex) -> bool {
        let bits = |index: &BlockIndex, number| index.last_value(number).map(f64::to_bits);
        let has_same_value = |number| {
            bits(self, number).zip(bits(other, number)).is_none_or(|(value, other_value)| value == other_value)
        };
        let is_same = |(run, other_run): (Run, Run)| {
            run == other_run && has_same_value(run.number) && self.labels(&run).eq(other.labels(&other_run))
        };
        self.pages == other.pages && self.n_runs() == other.n_runs() && self.runs().zip(other.runs()).all(is_same)
    }

    /// Compares two runs, of this index and of another, in block order.
    pub(in crate::storage) fn order(&self, run: &Run, other: &BlockIndex, other_run: &Run) -> Ordering {
        if Arc::ptr_eq(&self.keys, &other.keys) {
            return run.number.cmp(&other_run.number);
        }
        let by_metric = self.metric(run).cmp(other.metric(other_run));
        by_metric.then_with(|| run.id.cmp(&other_run.id)).then_with(|| self.labels(run).cmp(other.labels(other_run)))
    }
}

/// Makes an index, run by run.
#[derive(Debug, Default)]
pub(in crate::storage) struct IndexBuilder {
    keys: KeysBuilder,
    rows: Rows,
}

impl IndexBuilder {
    /// Starts with these texts, whose numbers are known already; none is to be added.
    pub(super) fn with_texts(texts: Texts) -> IndexBuilder {
        IndexBuilder { keys: KeysBuilder::with_texts(texts), ..IndexBuilder::default() }
    }

    /// Starts with the numbers that these keys give to texts, and expecting their series.
    pub(super) fn like(keys: Arc<BlockKeys>) -> IndexBuilder {
        IndexBuilder { keys: KeysBuilder::like(keys), ..IndexBuilder::default() }
    }

    /// Makes room for `n_series` runs, rather than twice as much when the last of many come.
    pub(super) fn expect(&mut self, n_series: usize) {
        self.keys.reserve_exact(n_series);
        self.rows.columns().into_iter().for_each(|column| column.reserve_exact(n_series));
        self.rows.last_values.reserve_exact(n_series);
    }

    /// The number of a text.
    pub(in crate::storage) fn text(&mut self, text: &str) -> TextId {
        self.keys.text(text)
    }

    pub(super) fn texts(&self) -> &Texts {
        self.keys.texts()
    }

    /// How many runs there are so far.
    pub(in crate::storage) fn n_runs(&self) -> usize {
        self.keys.len()
    }

    /// How many rows there are so far.
    pub(in crate::storage) fn n_rows(&self) -> u64 {
        self.rows.n_rows()
    }

    /// Fills in the numbers of the labels of the series that comes next.
    pub(super) fn number(&mut self, key: &Key, numbers: &mut Vec<(TextId, TextId)>) {
        self.keys.number(key.id(), key.labels(), numbers);
    }

    /// Adds the rows after those of the run before; `labels` as [`BlockIndex::label_ids`] answers them.
    ///
    /// # Errors
    /// When there are more than an index can count.
    pub(in crate::storage) fn push(
        &mut self,
        id: SeriesId,
        labels: &[(TextId, TextId)],
        n_rows: usize,
        (min_time, max_time): (Millis, Millis),
        last_value: f64,
    ) -> Result<(), BlockError> {
        let too_large =
            || BlockError::Damaged("a block would have more than 2^32 rows of a series, or labels".to_owned());
        let n_rows = u32::try_from(n_rows).map_err(|_| too_large())?;
        let end = i64::try_from(self.n_rows() + u64::from(n_rows)).map_err(|_| too_large())?;
        self.keys.push(id, labels).ok_or_else(too_large)?;
        self.rows.ends.push(end);
        self.rows.min_times.push(min_time);
        self.rows.max_times.push(max_time);
        self.rows.last_values.push(last_value);
        Ok(())
    }

    /// As [`push`](IndexBuilder::push), for a series' key.
    ///
    /// # Errors
    /// As [`push`](IndexBuilder::push).
    pub(in crate::storage) fn push_key(
        &mut self,
        key: &Key,
        n_rows: usize,
        span: (Millis, Millis),
        last_value: f64,
    ) -> Result<(), BlockError> {
        let mut labels = Vec::with_capacity(key.labels().len());
        self.number(key, &mut labels);
        self.push(key.id(), &labels, n_rows, span, last_value)
    }

    /// Adds a row to the last run.
    pub(in crate::storage) fn extend_last(&mut self, max_time: Millis, last_value: f64) {
        if let Some(last) = self.rows.last_values.last_mut() {
            *last = last_value;
            let n_rows = self.n_rows();
            self.rows.ends.replace_last(n_rows.cast_signed() + 1);
            self.rows.max_times.replace_last(max_time);
        }
    }

    /// Ends an index that says nothing of pages: that of a file of a tier.
    pub(in crate::storage) fn finish_without_pages(self) -> BlockIndex {
        self.finish(Pages::default())
    }

    pub(super) fn finish(self, pages: Pages) -> BlockIndex {
        BlockIndex { keys: self.keys.finish(), rows: self.rows, pages }
    }
}
