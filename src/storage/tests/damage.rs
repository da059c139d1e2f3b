//! Stored bytes that have changed: noticed, said, set aside; everything else is served.

use super::super::block::misplaced;
use super::*;

/// A closed directory whose log holds three records of one sample each, and where the log is.
fn with_log() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    for at in 0..3 {
        store.append(&batch(&[(0, at, at as f64)])).unwrap();
    }
    drop(store);
    let segment = dir.path().join("wal/000000000001.wal");
    (dir, segment)
}

fn times(store: &Store) -> Vec<Millis> {
    content(store).into_keys().map(|(_, at)| at).collect()
}

#[test]
fn the_log_may_be_cut_at_every_byte() {
    let (dir, segment) = with_log();
    let whole = std::fs::read(&segment).unwrap();
    let mut n_before = 0;
    for len in 0..=whole.len() {
        std::fs::write(&segment, &whole[..len]).unwrap();
        let store = Store::open(dir.path(), quiet()).unwrap();
        let times = times(&store);
        assert_eq!(times, (0..times.len() as i64).collect::<Vec<_>>(), "cut at {len}");
        assert!(times.len() >= n_before && store.figures().n_quarantined == 0, "cut at {len}");
        n_before = times.len();
    }
    assert_eq!(n_before, 3);
}

#[test]
fn every_flipped_byte_of_the_log_costs_one_record_and_is_told_when_in_the_middle() {
    let (dir, segment) = with_log();
    let whole = std::fs::read(&segment).unwrap();
    for at in 64..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        std::fs::write(&segment, &bytes).unwrap();
        let store = Store::open(dir.path(), quiet()).unwrap();
        let n_found = times(&store).len();
        // The first record defines the series, and without it nobody knows whose the samples are.
        assert!(n_found >= 2 || (n_found == 0 && store.figures().n_quarantined == 1), "byte {at}: {n_found}");
        assert!(n_found == 3 || store.figures().n_quarantined == 1, "byte {at} was lost in silence");
    }
}

#[test]
fn damage_in_one_segment_leaves_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreSettings { segment_size: 1, ..quiet() }).unwrap();
    for at in 0..3 {
        store.append(&batch(&[(0, at, at as f64)])).unwrap();
    }
    drop(store);
    let segment = dir.path().join("wal/000000000002.wal");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[..64].fill(0xff);
    std::fs::write(&segment, &bytes).unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    assert_eq!((times(&store), store.figures().n_quarantined), (vec![0, 2], 1));
    assert!(!segment.exists());
    store.flush().unwrap();
    drop(store);
    let store = Store::open(dir.path(), quiet()).unwrap();
    assert_eq!((times(&store), store.figures().n_quarantined), (vec![0, 2], 0));
}

/// A closed directory with two days of blocks and one sample in the log.
fn with_blocks() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    store.append(&batch(&[(0, 1, 1.0), (1, 1, 2.0), (0, DAY, 3.0)])).unwrap();
    store.flush().unwrap();
    store.append(&batch(&[(0, DAY + 1, 4.0)])).unwrap();
    dir
}

#[test]
fn a_missing_or_damaged_sidecar_is_made_again() {
    let dir = with_blocks();
    for (idx, entry) in std::fs::read_dir(dir.path().join("index")).unwrap().enumerate() {
        let path = entry.unwrap().path();
        if idx == 0 { std::fs::remove_file(path).unwrap() } else { std::fs::write(path, "nonsense").unwrap() }
    }
    let store = Store::open(dir.path(), quiet()).unwrap();
    assert_eq!(content(&store).len(), 4);
    drop(store);
    let sidecars = std::fs::read_dir(dir.path().join("index")).unwrap();
    assert!(
        sidecars
            .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
            .all(|bytes| bytes.starts_with(b"baroidx\n"))
    );
}

#[test]
fn a_missing_or_damaged_manifest_is_made_again_from_the_blocks() {
    for damage in [None, Some("{"), Some("")] {
        let dir = with_blocks();
        let path = dir.path().join("manifest.json");
        match damage {
            None => std::fs::remove_file(&path).unwrap(),
            Some(text) => std::fs::write(&path, text).unwrap(),
        }
        let store = Store::open(dir.path(), quiet()).unwrap();
        assert_eq!(content(&store).len(), 4, "{damage:?}");
        assert_eq!(store.figures().n_quarantined, u64::from(damage.is_some()), "{damage:?}");
        drop(store);
        assert_eq!(content(&Store::open(dir.path(), quiet()).unwrap()).len(), 4, "{damage:?}");
    }
}

#[test]
fn a_cut_or_missing_block_is_told_and_the_others_served() {
    for is_missing in [true, false] {
        let dir = with_blocks();
        let block = parquet_files(dir.path()).remove(0);
        let bytes = std::fs::read(&block).unwrap();
        std::fs::remove_file(&block).unwrap();
        if !is_missing {
            std::fs::write(&block, &bytes[..bytes.len() / 2]).unwrap();
        }
        let store = Store::open(dir.path(), quiet()).unwrap();
        assert_eq!((content(&store).len(), store.figures().n_quarantined), (2, 1));
        drop(store);
        // Put back, it is served again.
        std::fs::create_dir_all(block.parent().unwrap()).unwrap();
        std::fs::write(&block, &bytes).unwrap();
        assert_eq!(content(&Store::open(dir.path(), quiet()).unwrap()).len(), 4);
    }
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let dir = with_blocks();
    std::fs::write(dir.path().join("manifest.json"), r#"{"format": 7}"#).unwrap();
    let error = Store::open(dir.path(), quiet()).unwrap_err();
    assert!(matches!(error, OpenError::Version { found: 7, .. }), "{error}");
}

#[test]
fn a_block_of_another_store_is_set_aside_and_not_deleted() {
    let other = with_blocks();
    let foreign = parquet_files(other.path()).remove(0);
    let bytes = std::fs::read(&foreign).unwrap();
    for is_young in [true, false] {
        let dir = with_blocks();
        if is_young {
            // Its manifest covers none of the log, so that the log looks as if it held the block's samples.
            std::fs::remove_file(dir.path().join("manifest.json")).unwrap();
            drop(Store::open(dir.path(), quiet()).unwrap());
        }
        let path = dir.path().join("blocks/date=1970-01-01").join(foreign.file_name().unwrap());
        std::fs::write(&path, &bytes).unwrap();
        let store = Store::open(dir.path(), quiet()).unwrap();
        assert_eq!(store.figures().n_quarantined, u64::from(!is_young), "a crash leaves such a block to a young store");
        let aside = std::fs::read_dir(dir.path().join("quarantine")).unwrap();
        let aside: Vec<_> = aside.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
        assert!(aside == [bytes.clone()] && !path.exists(), "{is_young}");
    }
}

#[test]
fn samples_whose_series_is_unknown_are_kept_for_a_person() {
    let (dir, segment) = with_log();
    let mut bytes = std::fs::read(&segment).unwrap();
    // The first record, which defines the series.
    bytes[64 + 20] ^= 0x20;
    std::fs::write(&segment, &bytes).unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    store.append(&batch(&[(1, 9, 9.0)])).unwrap();
    store.flush().unwrap();
    assert!(!segment.exists());
    assert_eq!(std::fs::read(dir.path().join("quarantine/000000000001.wal")).unwrap(), bytes);
}

/// A store of blocks of a day each, all in one directory, with nothing in the log.
fn with_days(n_days: i64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreSettings { max_blocks_per_day: 100, ..quiet() }).unwrap();
    for day in 0..n_days {
        store.append(&batch(&[(0, day * DAY, day as f64), (1, day * DAY + 1, 0.5)])).unwrap();
        store.flush().unwrap();
    }
    dir
}

/// Changes a byte of the first page of timestamps.
fn damage(block: &Path) {
    let mut bytes = std::fs::read(block).unwrap();
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    let pages: Vec<usize> = bytes.windows(4).enumerate().filter(|(_, four)| *four == magic).map(|(at, _)| at).collect();
    // Any frame will do as long as reads touch it: all of them are damaged.
    pages.iter().for_each(|at| bytes[at + 5] ^= 0x55);
    std::fs::write(block, bytes).unwrap();
}

#[test]
fn however_many_blocks_are_damaged_one_question_gets_the_rest() {
    let dir = with_days(30);
    // So many blocks that none are merged meanwhile.
    let store = Store::open(dir.path(), StoreSettings { max_blocks_per_day: 100, ..quiet() }).unwrap();
    let blocks = parquet_files(dir.path());
    assert_eq!((blocks.len(), content(&store).len()), (30, 60));
    blocks[..25].iter().for_each(|block| damage(block));
    assert_eq!(content(&store).len(), 10);
    // Those that were found while the merging thread looked around wait for its next round.
    store.keeper().set_condemned_aside();
    assert_eq!(store.figures().n_quarantined, 25);
    assert_eq!(std::fs::read_dir(dir.path().join("quarantine")).unwrap().count(), 25);
}

#[test]
fn a_damaged_block_is_left_out_while_a_merge_is_under_way_and_set_aside_after() {
    let dir = with_days(3);
    let store = Store::open(dir.path(), quiet()).unwrap();
    damage(&parquet_files(dir.path())[0]);
    let merging = store.keeper().merging.lock();
    assert_eq!((content(&store).len(), store.figures().n_quarantined), (4, 0), "nobody waits for the merge");
    drop(merging);
    store.keeper().set_condemned_aside();
    assert_eq!((content(&store).len(), store.figures().n_quarantined), (4, 1));
}

#[test]
fn a_sidecar_that_points_elsewhere_is_made_again_and_the_block_stays() {
    let dir = with_days(2);
    let sidecars: Vec<PathBuf> =
        std::fs::read_dir(dir.path().join("index")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let expected = content(&Store::open(dir.path(), quiet()).unwrap());
    let bytes = misplaced(&std::fs::read(&sidecars[0]).unwrap());
    std::fs::write(&sidecars[0], &bytes).unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    assert_eq!(content(&store), expected);
    assert_eq!((store.figures().n_quarantined, store.figures().n_blocks), (0, 2));
    assert_ne!(std::fs::read(&sidecars[0]).unwrap(), bytes);
}
