//! Merges, deletes, retention, snapshots, lost manifests and second owners.

use super::*;

fn ids(faulty: &Faulty) -> Vec<String> {
    let names = faulty.names();
    let id = |name: &&String| name.rsplit('/').next().unwrap().trim_end_matches(".parquet").to_owned();
    blocks_of(&names).iter().map(id).collect()
}

#[test]
fn merged_blocks_stay_in_the_bucket_until_what_they_became_is_there() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open_lean(dir.path(), &faulty);
    for round in 0..4 {
        store.append(&batch(&[(0, round * 10, round as f64), (1, 5, round as f64)])).unwrap();
        store.flush().unwrap();
    }
    let before = content(&store);
    store.upload().unwrap();
    let old = ids(&faulty);
    assert_eq!((old.len(), parquet_files(dir.path()).len()), (4, 0));
    // The blocks come back to be merged.
    store.compact().unwrap();
    assert_eq!((store.figures().n_blocks, content(&store)), (1, before.clone()));
    assert_eq!(ids(&faulty), old, "the bucket alone still has every sample");
    drop(store);
    let store = open_lean(dir.path(), &faulty);
    store.upload().unwrap();
    let new = ids(&faulty);
    assert!(new.len() == 1 && !old.contains(&new[0]), "{old:?} became {new:?}");
    assert_eq!(store.figures().remote.n_deletes, 4);
    assert_eq!(content(&store), before);
}

#[test]
fn merges_leave_alone_what_cannot_be_fetched() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open_lean(dir.path(), &faulty);
    for round in 0..2 {
        store.append(&batch(&[(0, round, 1.0)])).unwrap();
        store.flush().unwrap();
    }
    store.upload().unwrap();
    faulty.set(Mode::Fail);
    for round in 0..3 {
        store.append(&batch(&[(0, 300 * DAY + round, 1.0)])).unwrap();
        store.flush().unwrap();
    }
    // The first attempt finds out, the next goes on without.
    let _ = store.compact();
    store.compact().unwrap();
    assert_eq!(store.figures().n_blocks, 3);
    faulty.set(Mode::Fine);
    store.upload().unwrap();
    store.compact().unwrap();
    assert_eq!((store.figures().n_blocks, content(&store).len()), (2, 5));
}

#[test]
fn a_delete_reaches_the_bucket() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open_lean(dir.path(), &faulty);
    fill(&store);
    store.upload().unwrap();
    let old = ids(&faulty);
    store.delete(&Selector::metric("disk"), TimeRange::new(0, DAY).unwrap()).unwrap();
    let after = content(&store);
    store.compact().unwrap();
    assert_eq!(content(&store), after);
    // Until the rewritten block is there the bucket says what is hidden.
    let there = store.keeper().shared.remote.as_ref().unwrap().manifest().unwrap().unwrap();
    assert_eq!((there.blocks.len(), there.deletes.len()), (3, 0), "as it was uploaded");
    store.upload().unwrap();
    let new = ids(&faulty);
    assert_eq!(new.len(), 3);
    assert_ne!(new, old);
    assert_eq!(content(&store), after);
    assert_eq!(std::fs::read_dir(dir.path().join("deletes")).unwrap().count(), 0);
}

#[test]
fn retention_deletes_objects_after_the_manifest() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open_lean(dir.path(), &faulty);
    fill(&store);
    store.upload().unwrap();
    drop(store);
    let store = try_open(dir.path(), &faulty, |settings| settings.retention = Some(40 * DAY)).unwrap();
    for _ in 0..200 {
        if store.figures().n_blocks == 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!((store.figures().n_blocks, ids(&faulty).len()), (2, 3));
    faulty.set(Mode::Fail);
    store.upload().unwrap_err();
    drop(store);
    faulty.set(Mode::Fine);
    let store = open(dir.path(), &faulty);
    store.upload().unwrap();
    assert_eq!((ids(&faulty).len(), content(&store).len()), (2, 2 * 4_001));
    let there = store.keeper().shared.remote.as_ref().unwrap().manifest().unwrap().unwrap();
    assert_eq!(there.blocks.len(), 2);
    assert!(!store.keeper().state.lock().manifest.superseded.iter().any(|_| true));
}

#[test]
fn a_snapshot_keeps_the_objects_that_it_names() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open_lean(dir.path(), &faulty);
    fill(&store);
    store.upload().unwrap();
    let snapshot = store.snapshot().unwrap();
    store.delete(&Selector::all(), TimeRange::ALL).unwrap();
    store.compact().unwrap();
    store.upload().unwrap();
    assert_eq!((store.figures().n_blocks, ids(&faulty).len()), (0, 3));
    std::fs::remove_dir_all(&snapshot.path).unwrap();
    store.upload().unwrap();
    assert_eq!(ids(&faulty).len(), 0);
}

#[test]
fn a_second_data_directory_is_refused() {
    let (dir, other, faulty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Faulty::default());
    let store = open(dir.path(), &faulty);
    fill(&store);
    store.upload().unwrap();
    let error = try_open(other.path(), &faulty, |_| {}).unwrap_err().to_string();
    assert!(error.contains("s3://metrics/site") && error.contains("must not share"), "{error}");
    // Beside it there is room.
    let beside = try_open(other.path(), &faulty, |settings| settings.s3.prefix = "other".into()).unwrap();
    beside.append(&batch(&[(0, 1, 1.0)])).unwrap();
    beside.flush().unwrap();
    beside.upload().unwrap();
    assert_eq!(faulty.names().iter().filter(|name| name.starts_with("other/")).count(), 4);
    drop(beside);
    // Whoever loses it meanwhile stops.
    faulty.change("site/owner.json", |bytes| {
        *bytes = br#"{"format": 1, "store": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}"#.to_vec();
    });
    store.append(&batch(&[(0, 1, 1.0)])).unwrap();
    store.flush().unwrap();
    let error = store.upload().unwrap_err().to_string();
    assert!(error.contains("01ARZ3NDEKTSV4RRFFQ69G5FAV"), "{error}");
    assert_eq!(ids(&faulty).len(), 4);
}

#[test]
fn another_or_an_emptied_bucket_is_not_taken_for_the_old_one() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open(dir.path(), &faulty);
    let before = fill(&store);
    store.upload().unwrap();
    drop(store);
    let empty = Faulty::default();
    let store = open_lean(dir.path(), &empty);
    let error = store.upload().unwrap_err().to_string();
    assert!(error.contains("owner.json") && error.contains("fsck"), "{error}");
    assert_eq!((empty.names().len(), parquet_files(dir.path()).len()), (0, 3));
    assert_eq!(content(&store), before);
}

#[test]
fn a_lost_manifest_takes_the_bucket_s_blocks_back() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open_lean(dir.path(), &faulty);
    let before = fill(&store);
    store.upload().unwrap();
    drop(store);
    std::fs::remove_file(dir.path().join("manifest.json")).unwrap();
    let store = open_lean(dir.path(), &faulty);
    assert_eq!(content(&store).len(), 0);
    store.upload().unwrap();
    assert_eq!(content(&store), before);
    assert_eq!(ids(&faulty).len(), 3);
    // And what is written from now on counts as younger.
    store.append(&batch(&[(0, 0, 77.0)])).unwrap();
    store.flush().unwrap();
    store.upload().unwrap();
    assert_eq!(content(&store)[&(super::super::super::tests::key(0).to_string(), 0)], 77f64.to_bits());
}
