//! Label names and values, each kept once and known by a number.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Number of a text in [`Texts`].
pub(super) type TextId = u32;

/// Texts, one after the other.
#[derive(Debug, Default, PartialEq)]
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

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|number| self.get(number as TextId))
    }
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

    pub(super) fn texts(&self) -> &Texts {
        &self.texts
    }

    pub(super) fn into_texts(self) -> Texts {
        self.texts
    }
}
