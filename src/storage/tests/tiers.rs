//! Downsampling: windows are what the samples say, outlive them, and obey deletes.

use super::super::tiers::{fold, join};
use super::*;
use crate::series::{HOUR, MINUTE};

fn settings() -> StoreSettings {
    StoreSettings { retention_5m: Some(500 * DAY), retention_1h: Some(1_000 * DAY), ..quiet() }
}

/// A day of two series, a sample every ten minutes.
fn fill(store: &Store, day: i64) {
    let sample =
        |series: usize, n: i64| (series, day * DAY + n * 10 * MINUTE + series as i64, ((n * 7 + day) % 13) as f64);
    let samples: Vec<_> = (0..144).flat_map(|n| [sample(0, n), sample(2, n)]).collect();
    store.append(&batch(&samples)).unwrap();
    store.flush().unwrap();
}

fn later() -> Millis {
    shared::now() + DAY
}

fn counts(down: &Downsampled) -> Vec<u64> {
    down.series.iter().map(|series| series.windows.iter().map(|window| window.count).sum()).collect()
}

fn n_files(dir: &Path) -> usize {
    let mut n = 0;
    for tier in ["5m", "1h"] {
        for day in std::fs::read_dir(dir.join("tiers").join(tier)).into_iter().flatten() {
            n += std::fs::read_dir(day.unwrap().path()).unwrap().count();
        }
    }
    n
}

#[test]
fn windows_say_what_the_samples_say_and_the_answer_says_where_they_are_from() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), settings()).unwrap();
    (0..3).for_each(|day| fill(&store, day));
    let expected = |width: Millis| -> Vec<Windows> {
        let series = store.select(&Selector::all(), TimeRange::ALL).unwrap();
        series
            .into_iter()
            .map(|series| Windows { windows: join(fold(&series.samples, width)), key: series.key })
            .collect()
    };
    let check = |step, tier, width, is_partly_raw| {
        let down = store.select_downsampled(&Selector::all(), TimeRange::new(0, 100 * DAY).unwrap(), step).unwrap();
        assert_eq!((down.tier, down.width, down.is_partly_raw), (tier, width, is_partly_raw), "{step}");
        assert_eq!(down.series, expected(width), "{step}");
    };
    check(HOUR, None, HOUR, true);
    store.keeper().downsample(later()).unwrap();
    assert_eq!(n_files(dir.path()), 6);
    check(HOUR, Some(Tier::OneHour), HOUR, false);
    check(150 * MINUTE, Some(Tier::OneHour), 2 * HOUR, false);
    check(5 * MINUTE, Some(Tier::FiveMinutes), 5 * MINUTE, false);
    check(MINUTE, None, MINUTE, true);
    // Too young for a tier, and late for one that is there: samples answer for them.
    store.append(&batch(&[(0, 9 * DAY, 1.0), (4, 2 * DAY, 1.0)])).unwrap();
    check(HOUR, Some(Tier::OneHour), HOUR, true);
    store.flush().unwrap();
    check(HOUR, Some(Tier::OneHour), HOUR, true);
    // A part of the range takes the windows it touches, whole.
    let range = TimeRange::new(HOUR + 1, 2 * HOUR + 1).unwrap();
    let down = store.select_downsampled(&Selector::exactly(&key(0)), range, HOUR).unwrap();
    let starts: Vec<Millis> = down.series[0].windows.iter().map(|window| window.start).collect();
    assert_eq!((starts, counts(&down)), (vec![HOUR, 2 * HOUR], vec![12]));

    // Merged with the late block, the day is made again.
    drop(store);
    let report = fsck(dir.path()).unwrap();
    assert!(report.findings.is_empty() && report.notes.is_empty(), "{report:?}");
}

#[test]
fn a_day_that_changes_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), settings()).unwrap();
    fill(&store, 0);
    store.keeper().downsample(later()).unwrap();
    store.append(&batch(&[(0, 7, 100.0)])).unwrap();
    store.delete(&Selector::exactly(&key(2)), TimeRange::new(0, HOUR).unwrap()).unwrap();
    let check = |tier| {
        let down = store.select_downsampled(&Selector::all(), TimeRange::ALL, HOUR).unwrap();
        assert_eq!((down.tier, counts(&down)), (tier, vec![145, 138]));
        assert_eq!(down.series[0].windows[0].max, 100.0);
    };
    check(None);
    store.flush().unwrap();
    store.keeper().carry_out_deletes().unwrap();
    store.keeper().merge_all_at(later(), true).unwrap();
    check(None);
    store.keeper().downsample(later()).unwrap();
    check(Some(Tier::OneHour));
    assert_eq!(n_files(dir.path()), 2, "the old ones are gone");
    assert_eq!(std::fs::read_dir(dir.path().join("index")).unwrap().count(), 3);
}

#[test]
fn windows_outlive_their_samples_and_end_with_their_own_retention() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), settings()).unwrap();
    // None of these days is settled long enough when its samples go: the tier is made at the last moment.
    [0, 1, 300].into_iter().for_each(|day| fill(&store, day));
    drop(store);
    let store = Store::open(dir.path(), StoreSettings { retention: Some(200 * DAY), ..settings() }).unwrap();
    store.keeper().retire(shared::now()).unwrap();
    assert_eq!(content(&store).len(), 2 * 144);
    let check = |store: &Store, step, tier, expected: &[u64]| {
        let range = TimeRange::new(0, 10 * DAY).unwrap();
        let down = store.select_downsampled(&Selector::all(), range, step).unwrap();
        assert_eq!((down.tier, counts(&down)), (tier, expected.to_vec()), "{step}");
    };
    check(&store, HOUR, Some(Tier::OneHour), &[288, 288]);
    // There are no samples any more: the finest there is.
    check(&store, 1, Some(Tier::FiveMinutes), &[288, 288]);
    drop(store);
    let store = Store::open(dir.path(), settings()).unwrap();
    check(&store, HOUR, Some(Tier::OneHour), &[288, 288]);

    // A delete takes what it touches, at once and for good.
    store.delete(&Selector::exactly(&key(0)), TimeRange::new(HOUR + 5, DAY).unwrap()).unwrap();
    check(&store, HOUR, Some(Tier::OneHour), &[6 + 144, 288]);
    drop(store);
    let store = Store::open(dir.path(), settings()).unwrap();
    check(&store, HOUR, Some(Tier::OneHour), &[6 + 144, 288]);
    store.keeper().carry_out_deletes().unwrap();
    check(&store, HOUR, Some(Tier::OneHour), &[6 + 144, 288]);
    assert_eq!(std::fs::read_dir(dir.path().join("deletes")).unwrap().count(), 0);
    drop(store);

    // A lost manifest does not cost them.
    std::fs::remove_file(dir.path().join("manifest.json")).unwrap();
    let store = Store::open(dir.path(), StoreSettings { retention_5m: Some(100 * DAY), ..settings() }).unwrap();
    check(&store, HOUR, Some(Tier::OneHour), &[6 + 144, 288]);
    // Day 300 is the newest: the tier of five minutes is kept for 100 days.
    store.keeper().downsample(later()).unwrap();
    check(&store, 1, Some(Tier::OneHour), &[6 + 144, 288]);
    drop(store);

    // A damaged file is told; the others answer.
    let folder = dir.path().join("tiers/1h/date=1970-01-01");
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 9]).unwrap();
    let report = fsck_and_quarantine(dir.path()).unwrap();
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert!(report.findings[0].lost.is_some() && report.findings[0].done.is_some(), "{report:?}");
    let store = Store::open(dir.path(), settings()).unwrap();
    check(&store, HOUR, Some(Tier::OneHour), &[144, 144]);
}

#[test]
fn power_may_go_out_while_tiers_are_made_and_blocks_retired() {
    let work = |files: &FaultFiles, dir: &Path| -> bool {
        let settings = StoreSettings { retention: Some(200 * DAY), ..settings() };
        let Ok(store) = Store::open_with(Arc::new(files.clone()), dir, settings) else { return false };
        let is_stored = store.append(&batch(&[(0, 1, 1.0), (0, 2, 5.0), (0, 300 * DAY, 1.0)])).is_ok();
        let _ = store.flush();
        let _ = store.keeper().retire(shared::now());
        let _ = store.keeper().downsample(later());
        is_stored
    };
    let n_calls = {
        let (dir, files) = (tempfile::tempdir().unwrap(), FaultFiles::default());
        assert!(work(&files, dir.path()));
        assert_eq!(n_files(dir.path()), 4);
        files.n_calls()
    };
    for crash_after in 0..=n_calls {
        let (dir, files) = (tempfile::tempdir().unwrap(), FaultFiles::default());
        files.crash_after(crash_after);
        let is_stored = work(&files, dir.path());
        files.cut_power([0.0, 0.5, 1.0][crash_after as usize % 3]);
        let store = Store::open(dir.path(), settings()).unwrap();
        let down = store.select_downsampled(&Selector::all(), TimeRange::ALL, HOUR).unwrap();
        let found = counts(&down).into_iter().sum::<u64>();
        assert!(found == 3 || (found == 0 && !is_stored), "crash after {crash_after} calls: {found} samples");
        assert_eq!(store.figures().n_quarantined, 0, "crash after {crash_after} calls");
        drop(store);
        let report = fsck(dir.path()).unwrap();
        assert!(report.findings.is_empty(), "crash after {crash_after} calls: {:?}", report.findings);
    }
}
