//! What many series were like just before many moments, in few reads.
//!
//! In: pairs of a series and an instant. Out: a [`Summary`] of the time before each, in the same order.
//!
//! One read per pair would look into every block as often as there are pairs. Moments of one metric that lie close
//! together share a read instead, whose selector names just the label values that are wanted.

use hashbrown::HashMap;

use super::budget::Budget;
use super::error::QueryError;
use super::stats::summarize_window;
use crate::series::{Key, METRIC_NAME, MatchOp, Matcher, MetricKind, Millis, Sample, Selector, Summary, TimeRange};
use crate::storage::Store;

/// Pairs that share a read at most: a bound on the length of its selector.
const MAX_SHARED: usize = 500;

/// Summarizes the `span` before each instant; `None` where the series has no sample then.
///
/// # Errors
/// When one read would have more samples than `budget` allows, or the store cannot read.
pub fn summaries_before(
    store: &Store,
    wanted: &[(Key, Millis)],
    span: Millis,
    kind_of: &dyn Fn(&Key) -> MetricKind,
    budget: Budget,
) -> Result<Vec<Option<Summary>>, QueryError> {
    let mut found = vec![None; wanted.len()];
    for group in groups(wanted, span) {
        let keys: Vec<&Key> = group.iter().map(|&idx| &wanted[idx].0).collect();
        let (first, last) = (wanted[group[0]].1, wanted[group[group.len() - 1]].1);
        let range = TimeRange::new(first.saturating_sub(span), last)?;
        let series = budget.select(store, &naming(&keys), range)?;
        let by_key: HashMap<&Key, &[Sample]> = series.iter().map(|one| (&one.key, &one.samples[..])).collect();
        for idx in group {
            let (key, at) = &wanted[idx];
            let Some(samples) = by_key.get(key) else { continue };
            let from = samples.partition_point(|sample| sample.at < at.saturating_sub(span));
            let to = samples.partition_point(|sample| sample.at < *at);
            found[idx] = (from < to).then(|| summarize_window(&samples[from..to], kind_of(key)));
        }
    }
    Ok(found)
}

/// Indices of pairs that are read together: of one metric, by time, each at most two spans after the one before.
fn groups(wanted: &[(Key, Millis)], span: Millis) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| {
        let ((a, a_at), (b, b_at)) = (&wanted[a], &wanted[b]);
        a.metric().cmp(b.metric()).then(a_at.cmp(b_at))
    });
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for idx in order {
        let (key, at) = &wanted[idx];
        let joins = groups.last().is_some_and(|group| {
            let (before, before_at) = &wanted[group[group.len() - 1]];
            before.metric() == key.metric()
                && at.saturating_sub(*before_at) <= span.saturating_mul(2)
                && group.len() < MAX_SHARED
        });
        match groups.last_mut() {
            Some(group) if joins => group.push(idx),
            _ => groups.push(vec![idx]),
        }
    }
    groups
}

/// A selector that means these series of one metric, and as few others as label values can tell.
fn naming(keys: &[&Key]) -> Selector {
    let mut selector = Selector::metric(keys[0].metric());
    for (name, _) in keys[0].labels().iter().filter(|(name, _)| *name != METRIC_NAME) {
        // A label that one of them lacks cannot narrow: lacking it is no value that could be listed.
        let values: Option<Vec<&str>> = keys.iter().map(|key| key.labels().get(name)).collect();
        let Some(mut values) = values else { continue };
        values.sort_unstable();
        values.dedup();
        let matcher = match values[..] {
            [only] => Matcher::new(name, MatchOp::Equal, only),
            _ => {
                let escaped: Vec<String> = values.iter().map(|value| regex::escape(value)).collect();
                Matcher::new(name, MatchOp::Regex, escaped.join("|"))
            }
        };
        // Values too many or too long for one expression narrow nothing; the other labels do.
        selector.matchers.extend(matcher);
    }
    selector
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Batch, HOUR, MINUTE};
    use crate::storage::StoreSettings;

    #[test]
    fn each_pair_gets_the_time_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), StoreSettings::default()).unwrap();
        let key = |metric: &str, host: &str| Key::from_pairs(metric, &[("host", host), ("job", "a.b|c")]).unwrap();
        let bare = Key::from_pairs("load", &[]).unwrap();
        let keys = [key("load", "a"), key("load", "b"), key("wait_total", "a"), bare];
        let samples = keys.iter().enumerate().flat_map(|(nth, key)| {
            (0..600).map(move |i| (key.clone(), Sample { at: i * MINUTE, value: (i * (nth as i64 + 1)) as f64 }))
        });
        store.append(&Batch::from_samples(samples)).unwrap();
        let mut wanted: Vec<(Key, Millis)> =
            (0..20).flat_map(|i| keys.iter().map(move |key| (key.clone(), i * 25 * MINUTE))).collect();
        wanted.push((key("load", "c"), HOUR));
        let kind_of = |key: &Key| if key.metric() == "load" { MetricKind::Gauge } else { MetricKind::Counter };
        let found = summaries_before(&store, &wanted, HOUR, &kind_of, Budget::samples(1_000_000)).unwrap();
        for ((key, at), summary) in wanted.iter().zip(&found) {
            let range = TimeRange::new(at - HOUR, *at).unwrap();
            let alone = store.select(&Selector::exactly(key), range).unwrap();
            let alone = alone.iter().find(|series| series.key == *key);
            assert_eq!(*summary, alone.map(|series| summarize_window(&series.samples, kind_of(key))), "{key} {at}");
        }
        assert!(found.iter().flatten().count() >= 70);
        // Twenty moments of eight hours in which each is within reach of the one before: one read per metric.
        assert_eq!(groups(&wanted, HOUR).len(), 2);
        assert_eq!(groups(&wanted, MINUTE).len(), 41);
    }
}
