//! Label names and values, each kept once and known by a number.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Number of a text in [`Texts`].
pub(super) type TextId = u32;

/// Texts, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Texts {
    all: String,
    // Where each text ends in `all`.
    ends: Vec<u32>,
}

impl Texts {
    /// The text with this number; empty when there is none.
    pub(super) fn get(&self, id: TextId) -> &str {
        let number = id as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends.get(before).copied().unwrap_or(0));
        let end = self.ends.get(number).copied().unwrap_or(start);
        self.all.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Adds a text; `None` when there would be more than 4 GB of them.
    pub(super) fn push(&mut self, text: &str) -> Option<TextId> {
        let end = u32::try_from(self.all.len() + text.len()).ok()?;
        self.all.push_str(text);
        self.ends.push(end);
        Some(self.ends.len() as TextId - 1)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn shrink_to_fit(&mut self) {
        self.all.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// Bytes of memory they take.
    pub(super) fn n_bytes(&self) -> usize {
        self.all.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|number| self.get(number as TextId))
    }

    /// Those of the texts that are wanted, sorted, and by number in these the number in those; `None` when that is what
    /// they are already.
    pub(super) fn sorted(&self, is_wanted: &[bool]) -> Option<(Texts, Vec<TextId>)> {
        if self.iter().is_sorted() && is_wanted.iter().all(|is_wanted| *is_wanted) {
            return None;
        }
        let wanted = self.iter().zip(0..).zip(is_wanted).filter(|(_, is_wanted)| **is_wanted);
        let mut order: Vec<(&str, TextId)> = wanted.map(|(text, _)| text).collect();
        sort(&mut order);
        let n_bytes = order.iter().map(|(text, _)| text.len()).sum();
        let mut sorted = Texts { all: String::with_capacity(n_bytes), ends: Vec::with_capacity(order.len()) };
        let mut numbers = vec![0; self.len()];
        for (text, id) in order {
            // As many as before, so they have numbers.
            numbers[id as usize] = sorted.push(text)?;
        }
        Some((sorted, numbers))
    }
}

/// Sorts texts, which mostly begin alike and differ soon after, each with what belongs to it.
pub(super) fn sort<T>(texts: &mut Vec<(&str, T)>) {
    let alike = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let first = texts.first().map_or("", |(text, _)| text);
    let n_alike = texts.iter().map(|(text, _)| alike(first, text)).min().unwrap_or(0);
    let next_eight = |text: &str| {
        let (mut eight, next) = ([0; 8], &text.as_bytes()[n_alike..]);
        let n = next.len().min(8);
        eight[..n].copy_from_slice(&next[..n]);
        u64::from_be_bytes(eight)
    };
    let mut keyed: Vec<(u64, (&str, T))> = texts.drain(..).map(|it| (next_eight(it.0), it)).collect();
    keyed.sort_unstable_by(|(a, (text, _)), (b, (other, _))| a.cmp(b).then_with(|| text.cmp(other)));
    texts.extend(keyed.into_iter().map(|(_, it)| it));
}

/// Texts that are found by themselves, too.
#[derive(Debug, Default)]
pub(super) struct TextTable {
    texts: Texts,
    // The numbers of the texts, found by the texts' hashes.
    known: HashTable<TextId>,
    hasher: DefaultHashBuilder,
}

impl TextTable {
    /// A copy of these texts, under the same numbers.
    pub(super) fn of(texts: &Texts) -> TextTable {
        let mut table = TextTable { texts: texts.clone(), ..TextTable::default() };
        for (id, text) in (0..).zip(texts.iter()) {
            let hash_of = |id: &TextId| table.hasher.hash_one(texts.get(*id));
            table.known.insert_unique(table.hasher.hash_one(text), id, hash_of);
        }
        table
    }

    /// These texts, which can be read but not found.
    pub(super) fn only(texts: Texts) -> TextTable {
        TextTable { texts, ..TextTable::default() }
    }

    /// The number of a text, if it has one.
    pub(super) fn find(&self, text: &str) -> Option<TextId> {
        self.known.find(self.hasher.hash_one(text), |id| self.texts.get(*id) == text).copied()
    }

    /// The number of a text, given now if it has none; `None` when there would be more than 4 GB of them.
    pub(super) fn number(&mut self, text: &str) -> Option<TextId> {
        let (hash, texts) = (self.hasher.hash_one(text), &mut self.texts);
        if let Some(id) = self.known.find(hash, |id| texts.get(*id) == text) {
            return Some(*id);
        }
        let id = texts.push(text)?;
        self.known.insert_unique(hash, id, |id| self.hasher.hash_one(texts.get(*id)));
        Some(id)
    }

    /// Bytes of memory it takes.
    pub(super) fn n_bytes(&self) -> usize {
        self.texts.n_bytes() + self.known.allocation_size()
    }

    pub(super) fn texts(&self) -> &Texts {
        &self.texts
    }

    pub(super) fn into_texts(self) -> Texts {
        self.texts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_are_sorted_as_texts_are(
            all in prop::collection::hash_set("(ab)?[a-c\0]{0,12}", 0..40).prop_map(|all| all.into_iter().collect::<Vec<_>>()),
            unwanted in prop_oneof!["a", "b", "none"],
        ) {
            let unwanted = &*unwanted;
            let mut texts = Texts::default();
            all.iter().for_each(|text| { texts.push(text); });
            let mut expected = all.clone();
            expected.sort();
            let table = TextTable::of(&texts);
            prop_assert!(all.iter().zip(0..).all(|(text, id)| table.find(text) == Some(id)));
            let wanted: Vec<bool> = all.iter().map(|text| !text.ends_with(unwanted)).collect();
            expected.retain(|text| !text.ends_with(unwanted));
            let numbers = texts.sorted(&wanted).map(|(sorted, numbers)| {
                texts = sorted;
                numbers
            });
            prop_assert!(texts.iter().eq(&expected));
            for (before, text) in all.iter().enumerate().filter(|(before, _)| wanted[*before]) {
                let number = numbers.as_ref().map_or(before as TextId, |numbers| numbers[before]);
                prop_assert_eq!(texts.get(number), text);
            }
        }
    }
}
