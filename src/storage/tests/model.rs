//! The store against a map: whatever is appended, flushed, merged and reopened, both hold the same.

use proptest::prelude::*;

use super::*;
use crate::series::{STALE_MARKER_BITS, TimeRange};

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(usize, Millis, f64)>),
    Delete(usize, Millis, Millis),
    Flush,
    Compact,
    Reopen,
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        Just(f64::from_bits(STALE_MARKER_BITS)),
        (0..5).prop_map(f64::from),
    ]
}

// Few series and times, so that samples are often late and often double, over a day's edge and before the epoch.
fn sample() -> impl Strategy<Value = (usize, Millis, f64)> {
    let at = prop_oneof![-3..3_i64, DAY - 3..DAY + 3, -1_000 * DAY..1_000 * DAY];
    (0..6_usize, at, value())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(sample(), 1..30).prop_map(Step::Append),
        1 => (0..6_usize, -4..4_i64, prop_oneof![0..3_i64, DAY..DAY + 3]).prop_map(|(series, start, len)| {
            Step::Delete(series, start, start + len)
        }),
        2 => Just(Step::Flush),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

fn check(store: &Store, model: &Content) {
    assert_eq!(&content(store), model);
    let range = TimeRange::new(-2, DAY + 1).unwrap();
    let found = store.select(&Selector::metric("cpu"), range).unwrap();
    let n_found: usize = found.iter().map(|series| series.samples.len()).sum();
    let wanted = |(key, at): &&(String, Millis)| key.starts_with("cpu") && range.contains(*at);
    assert_eq!(n_found, model.keys().filter(wanted).count());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_a_map_in_which_the_last_write_wins(steps in prop::collection::vec(step(), 1..25)) {
        let dir = tempfile::tempdir().unwrap();
        let settings = || StoreSettings { max_blocks_per_day: 2, segment_size: 2048, ..quiet() };
        let mut store = Store::open(dir.path(), settings()).unwrap();
        let mut model = Content::new();
        for step in steps {
            match step {
                Step::Append(samples) => {
                    store.append(&batch(&samples)).unwrap();
                    model.extend(samples.iter().map(|(series, at, value)| ((key(*series).to_string(), *at), value.to_bits())));
                }
                Step::Delete(series, start, end) => {
                    let range = TimeRange::new(start, end).unwrap();
                    store.delete(&Selector::exactly(&key(series)), range).unwrap();
                    model.retain(|(name, at), _| *name != key(series).to_string() || !range.contains(*at));
                }
                Step::Flush => store.flush().unwrap(),
                Step::Compact => store.compact().unwrap(),
                Step::Reopen => {
                    drop(store);
                    store = Store::open(dir.path(), settings()).unwrap();
                }
            }
            check(&store, &model);
        }
    }
}
