//! A block's index: which rows are whose, and where the pages are. `sidecar.rs` puts it into a file.
//!
//! A selector is answered from here, and the pages it needs are read from the block; nothing else of it is. Small, as
//! many blocks' indexes are in memory: about 100 bytes a series with ten labels, and each text once.

use std::cmp::Ordering;

use hashbrown::HashMap;

use super::super::error::BlockError;
use super::super::texts::{TextId, TextTable, Texts};
use super::pages::Pages;
use crate::series::{Key, Labels, METRIC_NAME, Millis, SeriesId};

/// One series' rows in a block: neighbours, in time order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::storage) struct Run {
    pub(in crate::storage) id: SeriesId,
    pub(in crate::storage) row_start: u64,
    pub(in crate::storage) n_rows: u32,
    /// Which label names it has.
    shape: u32,
    /// Where its label values begin.
    values_start: u32,
    pub(in crate::storage) min_time: Millis,
    pub(in crate::storage) max_time: Millis,
    pub(in crate::storage) last_value: f64,
}

/// Every run of a block, in row order, and its pages.
#[derive(Debug, Default, PartialEq)]
pub(in crate::storage) struct BlockIndex {
    /// Sorted, so that the order of texts is that of their numbers, and blocks of the same texts number them alike.
    pub(super) texts: Texts,
    /// Lists of label names; series of one metric mostly have the same.
    shapes: Vec<Box<[TextId]>>,
    values: Vec<TextId>,
    runs: Vec<Run>,
    pub(super) pages: Pages,
}

/// The order of series in a block: metric, id, and in the rare case of equal ids the labels.
pub(in crate::storage) fn block_order(a: &Key, b: &Key) -> Ordering {
    let by_name = a.metric().cmp(b.metric()).then_with(|| a.id().cmp(&b.id()));
    by_name.then_with(|| a.labels().iter().cmp(b.labels().iter()))
}

impl BlockIndex {
    pub(in crate::storage) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The same without room that was made and is not needed, for an index that is kept.
    pub(super) fn shrunk(mut self) -> BlockIndex {
        self.texts.shrink_to_fit();
        self.runs.shrink_to_fit();
        self.values.shrink_to_fit();
        self
    }

    /// About how many bytes of memory it takes.
    pub(in crate::storage) fn n_bytes(&self) -> usize {
        let shapes: usize = self.shapes.iter().map(|shape| size_of_val(&**shape)).sum();
        let values = self.values.capacity() * size_of::<TextId>() + shapes;
        self.texts.n_bytes() + values + self.runs.capacity() * size_of::<Run>() + self.pages.n_bytes()
    }

    pub(in crate::storage) fn n_rows(&self) -> u64 {
        self.runs.last().map_or(0, |last| last.row_start + u64::from(last.n_rows))
    }

    /// Numbers of the names and of the values of a run's labels, in name order.
    pub(in crate::storage) fn label_ids(&self, run: &Run) -> impl Iterator<Item = (TextId, TextId)> + Clone {
        let names = &self.shapes[run.shape as usize];
        names.iter().copied().zip(self.values[run.values_start as usize..].iter().copied())
    }

    /// A run's labels, the metric's name among them, in name order.
    pub(in crate::storage) fn labels(&self, run: &Run) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.label_ids(run).map(|(name, value)| (self.texts.get(name), self.texts.get(value)))
    }

    /// The text with this number.
    pub(in crate::storage) fn text(&self, id: TextId) -> &str {
        self.texts.get(id)
    }

    /// How many texts there are; their numbers begin at 0.
    pub(in crate::storage) fn n_texts(&self) -> usize {
        self.texts.len()
    }

    /// The metric's name.
    pub(in crate::storage) fn metric(&self, run: &Run) -> &str {
        self.labels(run).find(|(name, _)| *name == METRIC_NAME).map_or("", |(_, value)| value)
    }

    /// What answers the number of the metric's name of a run; `None` when it has none.
    pub(in crate::storage) fn metric_ids(&self) -> impl Fn(&Run) -> Option<TextId> {
        let places = self.places_of(METRIC_NAME);
        move |run| self.value_at(run, &places)
    }

    /// Whether both number their texts in the same way.
    pub(in crate::storage) fn numbers_texts_of(&self, other: &BlockIndex) -> bool {
        self.texts == other.texts
    }

    /// Whether both number their texts, and their lists of label names, in the same way.
    pub(in crate::storage) fn has_texts_of(&self, other: &BlockIndex) -> bool {
        self.texts == other.texts && self.shapes == other.shapes
    }

    /// The key of a run's series.
    pub(in crate::storage) fn key(&self, run: &Run) -> Result<Key, BlockError> {
        Labels::from_sorted(self.labels(run)).map(Key::new).map_err(|error| BlockError::Damaged(error.to_string()))
    }

    /// Whether it says where the pages of its rows are, as that of a block does.
    pub(in crate::storage) fn has_pages(&self) -> bool {
        self.pages.n_rows == self.n_rows()
    }

    /// Whether both say the same, in whatever order their texts are numbered.
    pub(in crate::storage) fn agrees(&self, other: &BlockIndex) -> bool {
        let said =
            |run: &Run| (run.id, run.row_start, run.n_rows, run.min_time, run.max_time, run.last_value.to_bits());
        self.pages == other.pages
            && self.runs.len() == other.runs.len()
            && self.runs.iter().zip(&other.runs).all(|(a, b)| said(a) == said(b) && self.labels(a).eq(other.labels(b)))
    }

    /// Compares two runs, of this index and of another, in block order.
    pub(in crate::storage) fn order(&self, run: &Run, other: &BlockIndex, other_run: &Run) -> Ordering {
        let by_metric = self.metric(run).cmp(other.metric(other_run));
        by_metric.then_with(|| run.id.cmp(&other_run.id)).then_with(|| self.labels(run).cmp(other.labels(other_run)))
    }

    /// The lists of label names that these runs have, each once.
    pub(super) fn shapes_of(&self, runs: &[usize]) -> Vec<&[TextId]> {
        let mut is_met = vec![false; self.shapes.len()];
        runs.iter().for_each(|number| is_met[self.runs[*number].shape as usize] = true);
        self.shapes.iter().zip(is_met).filter(|(_, is_met)| *is_met).map(|(shape, _)| &**shape).collect()
    }

    /// The position in the index of a label's values in the runs of each shape, `None` where the label is not.
    pub(super) fn places_of(&self, name: &str) -> Vec<Option<u32>> {
        let place =
            |shape: &[TextId]| shape.iter().position(|id| self.texts.get(*id) == name).map(|place| place as u32);
        self.shapes.iter().map(|shape| place(shape)).collect()
    }

    /// The value at a place that [`places_of`](BlockIndex::places_of) answered.
    pub(super) fn value_at(&self, run: &Run, places: &[Option<u32>]) -> Option<TextId> {
        let place = places[run.shape as usize]?;
        Some(self.values[(run.values_start + place) as usize])
    }
}

/// Makes an index, run by run.
#[derive(Debug, Default)]
pub(in crate::storage) struct IndexBuilder {
    texts: TextTable,
    shape_numbers: HashMap<Box<[TextId]>, u32>,
    // Gets its texts at the end.
    index: BlockIndex,
}

impl IndexBuilder {
    /// Starts with these texts, whose numbers are known already; none is to be added.
    pub(super) fn with_texts(texts: Texts) -> IndexBuilder {
        IndexBuilder { texts: TextTable::only(texts), ..IndexBuilder::default() }
    }

    /// Makes room for `n_series` runs, rather than twice as much when the last of many come.
    pub(super) fn expect(&mut self, n_series: usize) {
        self.index.runs.reserve_exact(n_series);
    }

    /// The number of a text.
    pub(in crate::storage) fn text(&mut self, text: &str) -> TextId {
        let id = self.texts.number(text);
        id.expect("the labels of one block's series are in memory, and far smaller than 4 GB")
    }

    pub(super) fn texts(&self) -> &Texts {
        self.texts.texts()
    }

    /// What there is so far, without the texts.
    pub(in crate::storage) fn index(&self) -> &BlockIndex {
        &self.index
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
            |_| BlockError::Damaged("a block would have more than 2^32 rows of a series, or labels".to_owned());
        let shape = self.shape_of(labels);
        let index = &mut self.index;
        let values_start = u32::try_from(index.values.len()).map_err(too_large)?;
        index.values.extend(labels.iter().map(|(_, value)| *value));
        let (row_start, n_rows) = (index.n_rows(), u32::try_from(n_rows).map_err(too_large)?);
        index.runs.push(Run { id, row_start, n_rows, shape, values_start, min_time, max_time, last_value });
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
        let labels: Vec<_> = key.labels().iter().map(|(name, value)| (self.text(name), self.text(value))).collect();
        self.push(key.id(), &labels, n_rows, span, last_value)
    }

    fn shape_of(&mut self, labels: &[(TextId, TextId)]) -> u32 {
        let names = labels.iter().map(|(name, _)| *name);
        if let Some(last) = self.index.runs.last().map(|run| run.shape)
            && self.index.shapes[last as usize].iter().copied().eq(names.clone())
        {
            return last;
        }
        let shapes = &mut self.index.shapes;
        *self.shape_numbers.entry(names.collect()).or_insert_with_key(|names| {
            shapes.push(names.clone());
            shapes.len() as u32 - 1
        })
    }

    /// Adds more rows to the last run.
    pub(in crate::storage) fn extend_last(&mut self, n_rows: u32, max_time: Millis, last_value: f64) {
        if let Some(run) = self.index.runs.last_mut() {
            (run.n_rows, run.max_time, run.last_value) = (run.n_rows + n_rows, max_time, last_value);
        }
    }

    /// Ends an index that says nothing of pages: that of a file of a tier.
    pub(in crate::storage) fn finish_without_pages(self) -> BlockIndex {
        self.finish(Pages::default())
    }

    pub(super) fn finish(self, pages: Pages) -> BlockIndex {
        let mut index = BlockIndex { pages, texts: self.texts.into_texts(), ..self.index };
        if let Some((texts, numbers)) = index.texts.sorted() {
            index.texts = texts;
            let ids = index.values.iter_mut().chain(index.shapes.iter_mut().flatten());
            ids.for_each(|id| *id = numbers[*id as usize]);
        }
        index
    }
}
