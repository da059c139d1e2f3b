//! Which active series have a label: for each name and value the numbers of the series, found without looking at any
//! series.
//!
//! A list of numbers costs a byte or two a number, as it holds the differences, and a label that most series have a bit
//! a number; one that one series alone has costs its text and about 40 bytes. Numbers of series that have gone quiet
//! stay until there are many.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::bytes::{Reader, put_varint};
use super::texts::{TextId, TextTable};
use super::wal::record::SeriesRef;
use crate::series::{Labels, MatchOp, Matcher, Selector};

// Lists of so few bytes stay lists: a set has no less.
const MIN_LIST_BYTES: usize = 64;

/// Numbers that were added one after the other. They mostly ascend, and then take least.
#[derive(Debug)]
struct Numbers {
    last: SeriesRef,
    // Those before it; most labels are of one series alone and have none.
    others: Option<Box<Others>>,
}

#[derive(Debug)]
enum Others {
    List {
        // Of each the difference to the one before, its sign in the lowest bit.
        differences: Vec<u8>,
        // The last of them, from which the next difference is counted.
        last: SeriesRef,
        most: SeriesRef,
    },
    // As soon as a bit for every number there is takes less than the differences.
    Set(NumberSet),
}

impl Default for Others {
    fn default() -> Others {
        Others::List { differences: Vec::new(), last: 0, most: 0 }
    }
}

impl Others {
    fn push(&mut self, number: SeriesRef) {
        match self {
            Others::List { differences, last, most } => {
                let difference = number.wrapping_sub(*last).cast_signed();
                put_varint(u64::from((difference << 1 ^ difference >> 31).cast_unsigned()), differences);
                (*last, *most) = (number, number.max(*most));
                if differences.len() > (*most as usize / 8).max(MIN_LIST_BYTES) {
                    let mut set = NumberSet::none(*most + 1);
                    self.iter().for_each(|number| set.insert(number));
                    *self = Others::Set(set);
                }
            }
            Others::Set(set) => {
                set.make_room(number + 1);
                set.insert(number);
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = SeriesRef> {
        let (differences, set) = match self {
            Others::List { differences, .. } => (&differences[..], None),
            Others::Set(set) => (&[][..], Some(set)),
        };
        let (mut reader, mut number) = (Reader::new(differences), 0_u32);
        let listed = std::iter::from_fn(move || {
            let difference = reader.varint()? as u32;
            number = number.wrapping_add(difference >> 1 ^ (difference & 1).wrapping_neg());
            Some(number)
        });
        listed.chain(set.into_iter().flat_map(NumberSet::iter))
    }
}

impl Numbers {
    fn one(number: SeriesRef) -> Numbers {
        Numbers { last: number, others: None }
    }

    fn push(&mut self, number: SeriesRef) {
        self.others.get_or_insert_default().push(self.last);
        self.last = number;
    }

    /// Every number, in no order.
    fn iter(&self) -> impl Iterator<Item = SeriesRef> {
        self.others.iter().flat_map(|others| others.iter()).chain([self.last])
    }

    /// Inserts all of them.
    fn insert_into(&self, set: &mut NumberSet) {
        match self.others.as_deref() {
            Some(Others::Set(these)) => {
                set.words.iter_mut().zip(&these.words).for_each(|(word, other)| *word |= other);
                set.insert(self.last);
            }
            _ => self.iter().for_each(|number| set.insert(number)),
        }
    }

    fn n_bytes(&self) -> usize {
        self.others.as_deref().map_or(0, |others| {
            size_of::<Others>()
                + match others {
                    Others::List { differences, .. } => differences.capacity(),
                    Others::Set(set) => set.words.capacity() * size_of::<u64>(),
                }
        })
    }
}

/// A name with a value, and the series that have it.
#[derive(Debug)]
struct Pair {
    name: TextId,
    value: TextId,
    numbers: Numbers,
}

/// The labels of the active series.
#[derive(Debug, Default)]
pub(super) struct Postings {
    texts: TextTable,
    pairs: Vec<Pair>,
    // Places in `pairs`, found by name and value.
    known: HashTable<u32>,
    hasher: DefaultHashBuilder,
    // By name, the places of its pairs.
    names: HashMap<TextId, Vec<u32>>,
    // Of memory that the lists of numbers take.
    list_bytes: usize,
    // One more than the largest number.
    end: SeriesRef,
}

/// A set of series' numbers.
#[derive(Debug)]
pub(super) struct NumberSet {
    words: Vec<u64>,
}

impl NumberSet {
    fn none(end: SeriesRef) -> NumberSet {
        NumberSet { words: vec![0; (end as usize).div_ceil(64)] }
    }

    /// Makes room for numbers below `end`.
    fn make_room(&mut self, end: SeriesRef) {
        let n_words = (end as usize).div_ceil(64);
        if n_words > self.words.len() {
            self.words.resize(n_words, 0);
        }
    }

    fn insert(&mut self, number: SeriesRef) {
        if let Some(word) = self.words.get_mut(number as usize / 64) {
            *word |= 1 << (number % 64);
        }
    }

    pub(super) fn contains(&self, number: SeriesRef) -> bool {
        self.words.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// How many numbers.
    pub(super) fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Every number, in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = SeriesRef> {
        self.words.iter().enumerate().flat_map(|(idx, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(idx as u32 * 64 + bit)
            })
        })
    }
}

impl Postings {
    /// Takes in a series under a number that no other has.
    pub(super) fn add(&mut self, number: SeriesRef, labels: &Labels) {
        for (name, value) in labels.iter() {
            // Only with 4 GB of texts; then the series is found by its other labels.
            let (Some(name), Some(value)) = (self.texts.number(name), self.texts.number(value)) else { continue };
            self.list(name, value, number);
        }
        self.end = self.end.max(number + 1);
    }

    /// Adds a number to the list of a name and a value.
    fn list(&mut self, name: TextId, value: TextId, number: SeriesRef) {
        let hash = self.hasher.hash_one((name, value));
        let (pairs, hasher) = (&mut self.pairs, &self.hasher);
        let is_it = |place: &u32| (pairs[*place as usize].name, pairs[*place as usize].value) == (name, value);
        if let Some(place) = self.known.find(hash, is_it) {
            let numbers = &mut pairs[*place as usize].numbers;
            let before = numbers.n_bytes();
            numbers.push(number);
            // A list that becomes a set may take less than it did.
            self.list_bytes = self.list_bytes + numbers.n_bytes() - before;
            return;
        }
        let place = pairs.len() as u32;
        pairs.push(Pair { name, value, numbers: Numbers::one(number) });
        let hash_of = |place: &u32| hasher.hash_one((pairs[*place as usize].name, pairs[*place as usize].value));
        self.known.insert_unique(hash, place, hash_of);
        self.names.entry(name).or_default().push(place);
    }

    fn pair(&self, name: TextId, value: &str) -> Option<&Pair> {
        let value = self.texts.find(value)?;
        let is_it = |place: &u32| {
            let pair = &self.pairs[*place as usize];
            (pair.name, pair.value) == (name, value)
        };
        let place = self.known.find(self.hasher.hash_one((name, value)), is_it)?;
        Some(&self.pairs[*place as usize])
    }

    fn pairs_of(&self, name: TextId) -> impl Iterator<Item = &Pair> {
        self.names.get(&name).into_iter().flatten().map(|place| &self.pairs[*place as usize])
    }

    /// The numbers of the series that `selector` means, some of which may have gone quiet; `None` stands for all.
    pub(super) fn matching(&self, selector: &Selector) -> Option<NumberSet> {
        let mut found: Option<NumberSet> = None;
        for matcher in &selector.matchers {
            let name = self.texts.find(matcher.name());
            let is_met_without = matcher.matches("");
            let mut set = NumberSet::none(self.end);
            // Whoever has the label with one of these values is in, or out, as the case may be.
            let is_listed = |pair: &&Pair| matcher.matches(self.texts.texts().get(pair.value)) != is_met_without;
            let mut list = |pair: &Pair| pair.numbers.insert_into(&mut set);
            match name {
                None => {}
                Some(name) if is_plain(matcher) => self.pair(name, matcher.value()).into_iter().for_each(&mut list),
                Some(name) => self.pairs_of(name).filter(is_listed).for_each(&mut list),
            }
            let flip = if is_met_without { u64::MAX } else { 0 };
            found = Some(match found {
                None => NumberSet { words: set.words.iter().map(|word| word ^ flip).collect() },
                Some(mut found) => {
                    found.words.iter_mut().zip(&set.words).for_each(|(word, other)| *word &= other ^ flip);
                    found
                }
            });
        }
        found
    }

    /// The values of the label `name` that a series has for which `is_wanted`.
    pub(super) fn values<'a>(
        &'a self,
        name: &str,
        is_wanted: impl Fn(SeriesRef) -> bool + 'a,
    ) -> impl Iterator<Item = &'a str> {
        let pairs = self.texts.find(name).into_iter().flat_map(|name| self.pairs_of(name));
        pairs.filter(move |pair| pair.numbers.iter().any(&is_wanted)).map(|pair| self.texts.texts().get(pair.value))
    }

    /// The names of the labels that a series has for which `is_wanted`.
    pub(super) fn names<'a>(&'a self, is_wanted: impl Fn(SeriesRef) -> bool + 'a) -> impl Iterator<Item = &'a str> {
        let has = move |name: TextId| self.pairs_of(name).any(|pair| pair.numbers.iter().any(&is_wanted));
        self.names.keys().filter(move |name| has(**name)).map(|name| self.texts.texts().get(*name))
    }

    /// Bytes of memory it takes.
    pub(super) fn n_bytes(&self) -> usize {
        let by_name: usize = self.names.values().map(|places| places.capacity() * size_of::<u32>()).sum();
        let pairs = self.pairs.capacity() * size_of::<Pair>() + self.known.allocation_size();
        self.texts.n_bytes() + pairs + self.list_bytes + by_name
    }

    /// Lets go of the numbers that are not to stay, and of the texts that nobody has then.
    pub(super) fn retain(&mut self, stays: impl Fn(SeriesRef) -> bool) {
        let mut kept = Postings { end: self.end, ..Postings::default() };
        for pair in &self.pairs {
            let mut numbers = pair.numbers.iter().filter(|number| stays(*number)).peekable();
            if numbers.peek().is_none() {
                continue;
            }
            let texts = self.texts.texts();
            let mut number = |text: TextId| kept.texts.number(texts.get(text));
            if let (Some(name), Some(value)) = (number(pair.name), number(pair.value)) {
                numbers.for_each(|number| kept.list(name, value, number));
            }
        }
        *self = kept;
    }
}

/// Whether the condition is met by one value alone, which is not that of an absent label.
fn is_plain(matcher: &Matcher) -> bool {
    matcher.op() == MatchOp::Equal && !matcher.value().is_empty()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::series::Key;

    fn key(idx: u32) -> Key {
        let (host, own) = (format!("h{}", idx % 7), format!("u{idx}"));
        let all = [("host", &*host), ("own", &*own), ("odd", "yes")];
        Key::from_pairs(["cpu", "disk"][idx as usize % 2], &all[..2 + (idx as usize % 2)]).unwrap()
    }

    fn selector(conditions: &[(&str, MatchOp, &str)]) -> Selector {
        let matcher = |(name, op, value): &(&str, MatchOp, &str)| Matcher::new(*name, *op, *value).unwrap();
        Selector { matchers: conditions.iter().map(matcher).collect() }
    }

    #[test]
    fn the_lists_say_what_comparing_every_series_says() {
        use MatchOp::{Equal, NotEqual, NotRegex, Regex};
        let mut postings = Postings::default();
        // Numbers have holes where other series have gone, and are given again.
        let mut keys: Vec<(u32, Key)> = (0..500).map(|idx| ((idx * 3 + 301) % 1_500, key(idx))).collect();
        keys.iter().for_each(|(number, key)| postings.add(*number, key.labels()));
        keys.sort_unstable_by_key(|(number, _)| *number);
        let conditions = [
            ("host", Equal, "h3"),
            ("host", NotEqual, "h3"),
            ("host", Regex, "h[1-4]"),
            ("host", NotRegex, "h[1-4]|h6"),
            ("odd", Equal, ""),
            ("odd", NotEqual, ""),
            ("odd", Regex, "yes|"),
            ("odd", NotRegex, ".+"),
            ("none", Equal, "x"),
            ("none", NotEqual, "x"),
            ("own", Equal, "u17"),
            ("__name__", Equal, "cpu"),
        ];
        for is_after in [false, true] {
            for a in conditions {
                for b in conditions {
                    let selector = selector(&[a, b]);
                    let expected = keys.iter().filter(|(number, key)| {
                        (!is_after || number.is_multiple_of(2)) && selector.matches(key.labels())
                    });
                    let found = postings.matching(&selector).unwrap();
                    let is_known = |number: &u32| {
                        keys.iter().any(|(known, _)| known == number && (!is_after || number.is_multiple_of(2)))
                    };
                    assert!(found.iter().filter(is_known).eq(expected.map(|(number, _)| *number)), "{selector}");
                }
            }
            let mut values: Vec<&str> = postings.values("host", |number| number < 10).collect();
            values.sort_unstable();
            assert_eq!(values, if is_after { vec!["h2"] } else { vec!["h1", "h2", "h3"] });
            assert_eq!(postings.names(|number| number < 4).count(), if is_after { 0 } else { 3 });
            postings.retain(|number| number.is_multiple_of(2));
        }
        assert!(postings.matching(&Selector::all()).is_none());
        assert!(postings.texts.find("u0").is_none() && postings.texts.find("u1").is_some());
    }

    proptest! {
        #[test]
        fn numbers_come_back(
            expected in prop_oneof![
                prop::collection::vec(prop_oneof![0..300_u32, 0..50_000_000_u32], 1..50),
                prop::collection::vec(0..300_u32, 1..900),
            ],
        ) {
            let mut numbers = Numbers::one(expected[0]);
            expected[1..].iter().for_each(|number| numbers.push(*number));
            let expected: BTreeSet<u32> = expected.into_iter().collect();
            prop_assert_eq!(&numbers.iter().collect::<BTreeSet<u32>>(), &expected);
            let mut set = NumberSet::none(expected.last().map_or(0, |last| last + 1));
            numbers.insert_into(&mut set);
            prop_assert!(set.iter().eq(expected));
        }
    }
}
