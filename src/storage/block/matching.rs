//! Which runs a selector means.
//!
//! Conditions are compared once per distinct text, not once per series: after that each series costs a few look-ups
//! in small arrays, and a hundred thousand of them about a millisecond.

use super::super::texts::TextId;
use super::index::{BlockIndex, Run};
use crate::series::{Matcher, Selector, TimeRange};

/// One condition of a selector, with what is known of it for the texts of one block.
struct Condition<'a> {
    matcher: &'a Matcher,
    places: Vec<Option<u32>>,
    // By text; `None` until it was compared.
    verdicts: Vec<Option<bool>>,
    // Of a series without the label.
    is_met_without: bool,
}

impl<'a> Condition<'a> {
    fn new(matcher: &'a Matcher, index: &BlockIndex) -> Condition<'a> {
        Condition {
            matcher,
            places: index.keys().places_of(matcher.name()),
            verdicts: vec![None; index.n_texts()],
            is_met_without: matcher.matches(""),
        }
    }

    fn is_met(&mut self, index: &BlockIndex, run: &Run) -> bool {
        let Some(text) = index.keys().value_at(run.number, &self.places) else { return self.is_met_without };
        *self.verdicts[text as usize].get_or_insert_with(|| self.matcher.matches(index.text(text)))
    }
}

impl BlockIndex {
    /// The numbers of the runs that the selector means and that may have a sample in `range`, in row order.
    pub(in crate::storage) fn matching(&self, selector: &Selector, range: TimeRange) -> Vec<usize> {
        let runs = match selector.fixed_metric() {
            // Runs are sorted by metric first.
            Some(metric) => {
                let start = self.first_run(0, |run| self.metric(run) >= metric);
                start..self.first_run(start, |run| self.metric(run) > metric)
            }
            None => 0..self.n_runs(),
        };
        let mut conditions: Vec<_> = selector.matchers.iter().map(|matcher| Condition::new(matcher, self)).collect();
        let mut found = Vec::new();
        for number in runs {
            let run = self.run(number);
            let is_in_range = range.overlaps(run.min_time, run.max_time);
            if is_in_range && conditions.iter_mut().all(|condition| condition.is_met(self, &run)) {
                found.push(number);
            }
        }
        found
    }

    /// The number of the first run from `start` on that `is_behind`, as all after it are.
    fn first_run(&self, start: usize, is_behind: impl Fn(&Run) -> bool) -> usize {
        let (mut low, mut high) = (start, self.n_runs());
        while low < high {
            let middle = usize::midpoint(low, high);
            if is_behind(&self.run(middle)) { high = middle } else { low = middle + 1 }
        }
        low
    }

    /// The numbers of the texts that the label `name` has in these runs, each once, in no order.
    pub(in crate::storage) fn values_of(&self, name: &str, runs: &[usize]) -> Vec<TextId> {
        let places = self.keys().places_of(name);
        self.distinct(runs.iter().filter_map(|number| self.keys().value_at(*number, &places)))
    }

    /// The numbers of the names of these runs' labels, each once, in no order.
    pub(in crate::storage) fn names_of(&self, runs: &[usize]) -> Vec<TextId> {
        self.distinct(self.keys().shapes_of(runs).into_iter().flatten().copied())
    }

    fn distinct(&self, texts: impl Iterator<Item = TextId>) -> Vec<TextId> {
        let mut is_seen = vec![false; self.n_texts()];
        let is_new = |text: &TextId| !std::mem::replace(&mut is_seen[*text as usize], true);
        texts.filter(is_new).collect()
    }
}
