//! Whose rows a block has: the keys of its series, in row order.
//!
//! By far the larger part of an index, and the same in block after block as long as no series comes or goes. Blocks of
//! the same series therefore share one of these in memory, and whoever makes an index of them need not put it together:
//! it is compared with the known one, series by series, and nothing is kept as long as they are the same.

use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::super::texts::{TextId, TextTable, Texts};
use crate::series::{Labels, SeriesId};

/// The keys of a block's series.
#[derive(Debug, Default, PartialEq)]
pub(in crate::storage) struct BlockKeys {
    /// Sorted, so that the order of texts is that of their numbers, and blocks of the same texts number them alike.
    pub(super) texts: Texts,
    /// Lists of label names; series of one metric mostly have the same.
    shapes: Vec<Box<[TextId]>>,
    values: Vec<TextId>,
    series: Vec<Entry>,
}

/// One series.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    id: SeriesId,
    /// Which label names it has.
    shape: u32,
    /// Where its label values begin.
    values_start: u32,
}

/// Those that are in use, so that equal ones are there once. Of the whole process: what is equal is equal in every store.
static KNOWN: Mutex<Vec<Weak<BlockKeys>>> = Mutex::new(Vec::new());

/// The known one for which `is_it`.
pub(in crate::storage) fn find_known(is_it: impl Fn(&BlockKeys) -> bool) -> Option<Arc<BlockKeys>> {
    // Compared outside of the lock, as that takes a while.
    let known: Vec<_> = KNOWN.lock().iter().filter_map(Weak::upgrade).collect();
    known.into_iter().find(|keys| is_it(keys))
}

impl BlockKeys {
    /// The known one that is equal, or this, which is known from now on.
    fn shared(self) -> Arc<BlockKeys> {
        // Locked all the while, as those of two blocks that are read at the same time are mostly equal.
        let mut known = KNOWN.lock();
        known.retain(|keys| keys.strong_count() > 0);
        if let Some(equal) = known.iter().filter_map(Weak::upgrade).find(|keys| **keys == self) {
            return equal;
        }
        let this = Arc::new(self);
        known.push(Arc::downgrade(&this));
        this
    }

    /// How many series there are.
    pub(in crate::storage) fn len(&self) -> usize {
        self.series.len()
    }

    pub(super) fn id(&self, number: usize) -> SeriesId {
        self.series[number].id
    }

    /// Bytes of memory it takes.
    pub(in crate::storage) fn n_bytes(&self) -> usize {
        let shapes: usize = self.shapes.iter().map(|shape| size_of_val(&**shape)).sum();
        let lists = self.values.capacity() * size_of::<TextId>() + self.series.capacity() * size_of::<Entry>();
        self.texts.n_bytes() + shapes + lists
    }

    /// Numbers of the names and of the values of a series' labels, in name order.
    pub(super) fn label_ids(&self, number: usize) -> impl Iterator<Item = (TextId, TextId)> + Clone {
        let Entry { shape, values_start, .. } = self.series[number];
        self.shapes[shape as usize].iter().copied().zip(self.values[values_start as usize..].iter().copied())
    }

    /// A series' labels, the metric's name among them, in name order.
    pub(super) fn labels(&self, number: usize) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.label_ids(number).map(|(name, value)| (self.texts.get(name), self.texts.get(value)))
    }

    /// Whether both number their texts, and their lists of label names, in the same way.
    pub(super) fn has_texts_of(&self, other: &BlockKeys) -> bool {
        std::ptr::eq(self, other) || (self.texts == other.texts && self.shapes == other.shapes)
    }

    /// The lists of label names that these series have, each once.
    pub(super) fn shapes_of(&self, series: &[usize]) -> Vec<&[TextId]> {
        let mut is_met = vec![false; self.shapes.len()];
        series.iter().for_each(|number| is_met[self.series[*number].shape as usize] = true);
        self.shapes.iter().zip(is_met).filter(|(_, is_met)| *is_met).map(|(shape, _)| &**shape).collect()
    }

    /// The position of a label's value in the series of each shape, `None` where the label is not.
    pub(super) fn places_of(&self, name: &str) -> Vec<Option<u32>> {
        let place =
            |shape: &[TextId]| shape.iter().position(|id| self.texts.get(*id) == name).map(|place| place as u32);
        self.shapes.iter().map(|shape| place(shape)).collect()
    }

    /// The value at a place that [`places_of`](BlockKeys::places_of) answered.
    pub(super) fn value_at(&self, number: usize, places: &[Option<u32>]) -> Option<TextId> {
        let Entry { shape, values_start, .. } = self.series[number];
        Some(self.values[(values_start + places[shape as usize]?) as usize])
    }

    /// Whether the series with this number is there and has this id and these labels.
    fn is(&self, number: usize, id: SeriesId, labels: &[(TextId, TextId)]) -> bool {
        self.series.get(number).is_some_and(|series| series.id == id)
            && self.label_ids(number).eq(labels.iter().copied())
    }

    /// Numbers the texts in their order, and lets go of those that no series has.
    fn sort(&mut self) {
        let mut is_used = vec![false; self.texts.len()];
        let used = self.values.iter().chain(self.shapes.iter().flatten());
        used.for_each(|id| is_used[*id as usize] = true);
        let Some((texts, numbers)) = self.texts.sorted(&is_used) else { return };
        self.texts = texts;
        let ids = self.values.iter_mut().chain(self.shapes.iter_mut().flatten());
        ids.for_each(|id| *id = numbers[*id as usize]);
    }
}

/// Puts the keys of a block together, series by series.
#[derive(Debug, Default)]
pub(super) struct KeysBuilder {
    /// While this is there, all series so far are its first ones, and only counted.
    like: Option<Arc<BlockKeys>>,
    n_series: usize,
    // All of those of `like` first, under the same numbers, when that was there once.
    texts: TextTable,
    shape_numbers: HashMap<Box<[TextId]>, u32>,
    // Gets its texts at the end.
    keys: BlockKeys,
}

impl KeysBuilder {
    /// Starts with these texts, whose numbers are known already; none is to be added.
    pub(super) fn with_texts(texts: Texts) -> KeysBuilder {
        KeysBuilder { texts: TextTable::only(texts), ..KeysBuilder::default() }
    }

    /// Starts expecting these series, and with the numbers that these texts have.
    pub(super) fn like(keys: Arc<BlockKeys>) -> KeysBuilder {
        KeysBuilder { like: Some(keys), ..KeysBuilder::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.n_series
    }

    /// Makes room for so many series.
    pub(super) fn reserve_exact(&mut self, n_series: usize) {
        if self.like.is_none() {
            self.keys.series.reserve_exact(n_series);
        }
    }

    pub(super) fn texts(&self) -> &Texts {
        self.like.as_ref().map_or(self.texts.texts(), |like| &like.texts)
    }

    /// The number of a text.
    pub(super) fn text(&mut self, text: &str) -> TextId {
        self.part_ways();
        let id = self.texts.number(text);
        id.expect("the labels of one block's series are in memory, and far smaller than 4 GB")
    }

    /// Fills in the numbers of the next series' labels.
    pub(super) fn number(&mut self, id: SeriesId, labels: &Labels, numbers: &mut Vec<(TextId, TextId)>) {
        numbers.clear();
        let next = self.n_series;
        if let Some(like) = self.like.as_ref().filter(|like| next < like.len() && like.id(next) == id)
            && like.labels(next).eq(labels.iter())
        {
            numbers.extend(like.label_ids(next));
            return;
        }
        for (name, value) in labels.iter() {
            numbers.push((self.text(name), self.text(value)));
        }
    }

    /// Adds a series; `None` when there are more labels than can be counted.
    pub(super) fn push(&mut self, id: SeriesId, labels: &[(TextId, TextId)]) -> Option<()> {
        if let Some(like) = &self.like {
            if like.is(self.n_series, id, labels) {
                self.n_series += 1;
                return Some(());
            }
            self.part_ways();
        }
        let values_start = u32::try_from(self.keys.values.len()).ok()?;
        let shape = self.shape_of(labels);
        self.keys.values.extend(labels.iter().map(|(_, value)| *value));
        self.keys.series.push(Entry { id, shape, values_start });
        self.n_series += 1;
        Some(())
    }

    /// Takes over what was only counted: what comes is not like it.
    fn part_ways(&mut self) {
        let Some(like) = self.like.take() else { return };
        self.texts = TextTable::of(&like.texts);
        self.keys.series.reserve_exact(like.len());
        let n_series = std::mem::take(&mut self.n_series);
        let mut labels = Vec::new();
        for number in 0..n_series {
            labels.clear();
            labels.extend(like.label_ids(number));
            self.push(like.id(number), &labels).expect("as many labels were counted before");
        }
    }

    fn shape_of(&mut self, labels: &[(TextId, TextId)]) -> u32 {
        let names = labels.iter().map(|(name, _)| *name);
        let shapes = &mut self.keys.shapes;
        if let Some(last) = self.keys.series.last().map(|series| series.shape)
            && shapes[last as usize].iter().copied().eq(names.clone())
        {
            return last;
        }
        *self.shape_numbers.entry(names.collect()).or_insert_with_key(|names| {
            shapes.push(names.clone());
            shapes.len() as u32 - 1
        })
    }

    pub(super) fn finish(mut self) -> Arc<BlockKeys> {
        match self.like.take() {
            Some(like) if like.len() == self.n_series => return like,
            Some(like) => {
                self.like = Some(like);
                self.part_ways();
            }
            None => {}
        }
        let mut keys = BlockKeys { texts: self.texts.into_texts(), ..self.keys };
        drop(self.shape_numbers);
        keys.sort();
        keys.texts.shrink_to_fit();
        keys.values.shrink_to_fit();
        keys.series.shrink_to_fit();
        keys.shared()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::series::Key;

    fn key(number: usize) -> Key {
        let own = format!("keys.rs {number}");
        let pairs = [("own", &*own), ("odd", "yes")];
        Key::from_pairs(["cpu", "disk"][number % 2], &pairs[..1 + number % 3 / 2]).unwrap()
    }

    fn built(mut builder: KeysBuilder, keys: &[Key]) -> Arc<BlockKeys> {
        let mut numbers = Vec::new();
        for key in keys {
            builder.number(key.id(), key.labels(), &mut numbers);
            builder.push(key.id(), &numbers).unwrap();
        }
        builder.finish()
    }

    fn check(built: &BlockKeys, keys: &[Key]) {
        assert_eq!(built.len(), keys.len());
        for (number, key) in keys.iter().enumerate() {
            assert!(built.id(number) == key.id() && built.labels(number).eq(key.labels().iter()), "{key}");
        }
    }

    proptest! {
        #[test]
        fn what_is_like_something_known_is_what_it_would_be_by_itself(
            known in prop::collection::vec(0..40_usize, 0..30),
            n_same in 0..30_usize,
            others in prop::collection::vec(0..40_usize, 0..4),
        ) {
            let known: Vec<Key> = known.into_iter().map(key).collect();
            let others = others.into_iter().map(key);
            let keys: Vec<Key> = known.iter().take(n_same).cloned().chain(others).collect();
            let known = built(KeysBuilder::default(), &known);
            let (alone, like) = (built(KeysBuilder::default(), &keys), built(KeysBuilder::like(known), &keys));
            check(&alone, &keys);
            prop_assert!(Arc::ptr_eq(&alone, &like), "equal ones are there once");
            prop_assert!(like.texts.iter().is_sorted());
        }
    }

    #[test]
    fn texts_that_were_numbered_before_keep_their_numbers_until_the_end() {
        let known: Vec<Key> = [2, 4, 8].map(key).to_vec();
        let mut builder = KeysBuilder::like(built(KeysBuilder::default(), &known));
        let (mut first, mut second) = (Vec::new(), Vec::new());
        builder.number(known[0].id(), known[0].labels(), &mut first);
        builder.number(known[1].id(), known[1].labels(), &mut second);
        builder.push(known[0].id(), &first).unwrap();
        // One that is not like it, and then one whose labels were numbered as those of the known.
        let other = key(5);
        let mut numbers = Vec::new();
        builder.number(other.id(), other.labels(), &mut numbers);
        builder.push(other.id(), &numbers).unwrap();
        builder.push(known[1].id(), &second).unwrap();
        check(&builder.finish(), &[known[0].clone(), other, known[1].clone()]);
    }

    #[test]
    fn who_is_used_by_nobody_is_known_no_more() {
        let keys = [key(100), key(101)];
        let is_it = |known: &BlockKeys| known.len() == 2 && known.id(0) == keys[0].id();
        let shared = built(KeysBuilder::default(), &keys);
        assert!(find_known(is_it).is_some_and(|known| Arc::ptr_eq(&known, &shared)));
        drop(shared);
        assert!(find_known(is_it).is_none());
    }
}
