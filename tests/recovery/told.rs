//! What the processes that were killed have been told, and whether a store holds exactly that.

use std::collections::{BTreeMap, BTreeSet};

use barograph::series::{Millis, Selector, TimeRange};
use barograph::storage::Store;

use super::work::{FIRST_DELETED, N_SERIES, N_THREADS, at, numbers};

/// A batch, by thread and number.
type Batch = (usize, i64);

/// A delete: of batches of `thread` up to `last`, from `start` to `end`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Delete {
    thread: usize,
    last: i64,
    start: Millis,
    end: Millis,
}

impl Delete {
    fn batches(&self) -> impl Iterator<Item = Batch> {
        let Delete { thread, last, start, end } = *self;
        numbers(start, end).filter(move |number| *number <= last).map(move |number| (thread, number))
    }
}

/// Everything that was told, over all rounds.
#[derive(Default)]
pub struct Told {
    pub acknowledged: BTreeSet<Batch>,
    /// Batches whose last series are deleted, for good.
    deleted: BTreeSet<Batch>,
    /// Deletes that were under way when the kill came: carried out as a whole, or not at all.
    under_way: Vec<Delete>,
    /// Retention may have taken what is not younger than this.
    retired: Option<Millis>,
    pub n_deletes: usize,
    pub n_retired_by_age: usize,
    pub n_retired_by_size: usize,
    /// Batches that are there and were not acknowledged.
    pub n_beyond: usize,
}

impl Told {
    /// Takes in a line of what the process said.
    pub fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |word: &str| word.parse::<i64>().unwrap();
        match words[..] {
            ["ack", thread, batch] => {
                self.acknowledged.insert((thread.parse().unwrap(), number(batch)));
            }
            [told @ ("deleting" | "deleted"), thread, last, start, end] => {
                let thread = thread.parse().unwrap();
                let delete = Delete { thread, last: number(last), start: number(start), end: number(end) };
                if told == "deleting" {
                    self.under_way.push(delete);
                } else {
                    self.under_way.retain(|other| *other != delete);
                    self.deleted.extend(delete.batches());
                    self.n_deletes += 1;
                }
            }
            _ if line.contains("deleting blocks older") || line.contains("deleting the oldest blocks") => {
                let word = words.iter().find_map(|word| word.strip_prefix("newest_sample="));
                self.retired = self.retired.max(word.map(number));
                let is_by_age = line.contains("older");
                *(if is_by_age { &mut self.n_retired_by_age } else { &mut self.n_retired_by_size }) += 1;
            }
            _ => assert!(
                ["panicked", "failed", "damaged", "not one of the live"].iter().all(|bad| !line.contains(bad)),
                "the process that was killed had trouble: {line}"
            ),
        }
    }

    /// The number of the youngest batch of which anything was told.
    pub fn last(&self) -> i64 {
        self.acknowledged.iter().map(|(_, number)| *number).max().unwrap_or(0)
    }

    fn may_be_retired(&self, number: i64) -> bool {
        self.retired.is_some_and(|retired| at(number) <= retired)
    }

    /// Checks that the store holds what was told, whole, once, unchanged, and nothing that was deleted.
    ///
    /// Answers the number of samples found.
    pub fn check(&mut self, store: &Store, n_rounds: usize) -> u64 {
        // For each batch a bit per series.
        let mut found: BTreeMap<Batch, u8> = BTreeMap::new();
        let mut n_found = 0;
        for series in store.select(&Selector::all(), TimeRange::ALL).unwrap() {
            let label = |name| series.key.labels().get(name).unwrap().parse::<usize>().unwrap();
            let (thread, number_of_series) = (label("thread"), label("series"));
            for sample in &series.samples {
                let number = sample.value as i64;
                assert_eq!(sample.at, at(number), "{} has a sample nobody sent", series.key);
                *found.entry((thread, number)).or_default() |= 1 << number_of_series;
                n_found += 1;
            }
        }
        self.decide(&found);
        let (whole, kept) = ((1 << N_SERIES) - 1, (1 << FIRST_DELETED) - 1);
        let expected = |batch: &Batch| if self.deleted.contains(batch) { kept } else { whole };
        for (batch, mask) in &found {
            assert_eq!(*mask, expected(batch), "batch {batch:?}: there in part, or back from where it was deleted");
        }
        let is_lost = |batch: &&Batch| !found.contains_key(batch) && !self.may_be_retired(batch.1);
        let lost: Vec<_> = self.acknowledged.iter().filter(is_lost).take(5).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}; retention took what is up to {:?}", self.retired);
        // What is there beyond that was sent, and each thread had one batch under way when it was killed.
        self.n_beyond = found.keys().filter(|batch| !self.acknowledged.contains(batch)).count();
        assert!(self.n_beyond <= N_THREADS * n_rounds, "{} batches were invented", self.n_beyond);
        n_found
    }

    /// Of each delete that nobody was told of, whether it was carried out: all of it, or nothing.
    fn decide(&mut self, found: &BTreeMap<Batch, u8>) {
        let last_bits = (1 << N_SERIES) - (1 << FIRST_DELETED);
        for delete in std::mem::take(&mut self.under_way) {
            let open = |batch: &Batch| !self.deleted.contains(batch) && !self.may_be_retired(batch.1);
            let there =
                delete.batches().filter(open).filter_map(|batch| found.get(&batch).map(|mask| mask & last_bits));
            let (visible, hidden): (Vec<u8>, Vec<u8>) = there.partition(|bits| *bits != 0);
            assert!(visible.is_empty() || hidden.is_empty(), "{delete:?} was carried out in part");
            if !hidden.is_empty() {
                self.deleted.extend(delete.batches());
            } else if visible.is_empty() {
                // Retention has taken all that would tell.
                self.under_way.push(delete);
            }
        }
    }
}
