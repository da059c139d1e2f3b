//! fsck with the bucket, and restores from it.

use super::super::super::fsck::{Report, check_with};
use super::super::restore::restore_with;
use super::*;

fn check(dir: &Path, faulty: &Faulty, read_all: bool, repair: bool) -> Report {
    let layout = Layout::new(dir);
    let files: Arc<dyn Files> = Arc::new(Disk);
    let settings =
        RemoteSettings { prefix: "site".into(), bucket: Some("metrics".into()), ..RemoteSettings::default() };
    let remote = Remote::over(Arc::new(faulty.clone()), &files, &layout, &settings, Duration::MAX).unwrap();
    check_with(&layout, &remote, read_all, repair).unwrap()
}

fn restore(
    dir: &Path,
    faulty: &Faulty,
    take_over: bool,
) -> Result<crate::storage::Restored, crate::storage::RestoreError> {
    restore_with(dir, take_over, |files, layout| {
        let settings =
            RemoteSettings { prefix: "site".into(), bucket: Some("metrics".into()), ..RemoteSettings::default() };
        Remote::over(Arc::new(faulty.clone()), files, layout, &settings, Duration::MAX)
    })
}

#[test]
fn a_sound_directory_with_a_bucket_has_no_findings() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open_lean(dir.path(), &faulty);
    fill(&store);
    store.upload().unwrap();
    store.append(&batch(&[(0, 300 * DAY, 1.0)])).unwrap();
    store.flush().unwrap();
    drop(store);
    for read_all in [false, true] {
        let report = check(dir.path(), &faulty, read_all, false);
        assert!(report.findings.is_empty() && report.notes.is_empty(), "{report:?}");
        assert_eq!((report.n_blocks, report.n_bucket_blocks, report.n_bucket_samples), (1, 3, 3 * 4_001));
    }
    let alone = crate::storage::fsck(dir.path()).unwrap();
    assert!(alone.findings.is_empty() && alone.notes.iter().any(|note| note.contains("--config")), "{alone:?}");
}

#[test]
fn what_is_missing_changed_or_nobody_s_in_the_bucket_is_named() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open(dir.path(), &faulty);
    fill(&store);
    store.upload().unwrap();
    drop(store);
    let names = faulty.names();
    let blocks = blocks_of(&names);
    // One that is here too, and one that is not.
    faulty.remove(blocks[0]);
    std::fs::remove_file(dir.path().join(blocks[1].strip_prefix("site/").unwrap())).unwrap();
    faulty.change(blocks[1], |bytes| bytes[100] ^= 1);
    let orphan = "site/blocks/date=1970-01-01/01ARZ3NDEKTSV4RRFFQ69G5FAV.parquet";
    faulty::wait(async {
        use object_store::ObjectStoreExt;
        faulty.inner.put(&orphan.into(), vec![1, 2, 3].into()).await.unwrap();
    });
    let texts = |report: &Report| report.findings.iter().map(ToString::to_string).collect::<Vec<_>>();
    let found = texts(&check(dir.path(), &faulty, false, false));
    let is_told =
        |found: &[String], words: &[&str]| found.iter().any(|text| words.iter().all(|word| text.contains(word)));
    assert!(is_told(&found, &["s3://metrics/", &blocks[0][5..], "not in the bucket", "uploaded again"]), "{found:#?}");
    assert!(is_told(&found, &[orphan, "no manifest names", "aws s3 rm"]), "{found:#?}");
    assert!(is_told(&found, &[&blocks[1][5..], "missing here"]), "{found:#?}");
    assert_eq!(found.len(), 3, "{found:#?}");
    // The changed one shows when all is read.
    let found = texts(&check(dir.path(), &faulty, true, true));
    assert!(is_told(&found, &[&blocks[1][5..], "checksum in the bucket", "4001 samples"]), "{found:#?}");
    faulty.remove(orphan);
    let store = open(dir.path(), &faulty);
    assert_eq!(content(&store).len(), 2 * 4_001);
    store.upload().unwrap();
    drop(store);
    let report = check(dir.path(), &faulty, true, false);
    assert!(report.findings.is_empty(), "{report:?}");
    assert_eq!((report.n_blocks, blocks_of(&faulty.names()).len()), (2, 2));
    // What was given up is for a person to look at.
    assert_eq!(std::fs::read_dir(dir.path().join("quarantine")).unwrap().count(), 1);
}

#[test]
fn the_bucket_alone_becomes_a_data_directory_again() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open_lean(dir.path(), &faulty);
    fill(&store);
    store.upload().unwrap();
    // Something is deleted in the first block, and not rewritten.
    store.delete(&Selector::metric("disk"), TimeRange::new(0, DAY).unwrap()).unwrap();
    store.upload().unwrap();
    let before = content(&store);
    drop(store);
    let copy = tempfile::tempdir().unwrap();
    let restored = restore(copy.path(), &faulty, false).unwrap();
    assert_eq!((restored.report.n_blocks, parquet_files(copy.path()).len()), (3, 3));
    let alone = Store::open(copy.path(), quiet()).unwrap();
    assert_eq!(content(&alone), before);
    drop(alone);
    // On the same prefix it is a second owner, until the first is gone for good.
    assert!(matches!(try_open(copy.path(), &faulty, |_| {}), Err(OpenError::Remote(RemoteError::Owned { .. }))));
    assert!(matches!(restore(copy.path(), &faulty, false), Err(crate::storage::RestoreError::NotEmpty(_))));

    let heir = tempfile::tempdir().unwrap();
    let restored = restore(heir.path(), &faulty, true).unwrap();
    assert_eq!((restored.report.n_blocks, restored.report.n_bucket_blocks, restored.n_bytes), (0, 3, 0));
    let store = open_lean(heir.path(), &faulty);
    assert_eq!(content(&store), before);
    store.append(&batch(&[(0, 1, 5.0)])).unwrap();
    store.flush().unwrap();
    store.upload().unwrap();
    assert_eq!(store.figures().remote.n_bucket_only, 4);
    assert!(matches!(try_open(dir.path(), &faulty, |_| {}), Err(OpenError::Remote(RemoteError::Owned { .. }))));
}

#[test]
fn a_restore_tells_what_is_wrong_and_leaves_nothing_to_serve() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let empty = tempfile::tempdir().unwrap();
    let error = restore(empty.path(), &faulty, false).unwrap_err().to_string();
    assert!(error.contains("s3://metrics/site") && error.contains("manifest.json"), "{error}");
    let store = open_lean(dir.path(), &faulty);
    fill(&store);
    store.upload().unwrap();
    let names = faulty.names();
    faulty.change(blocks_of(&names)[1], |bytes| bytes[100] ^= 1);
    let copy = tempfile::tempdir().unwrap();
    let error = restore(copy.path(), &faulty, false).unwrap_err().to_string();
    assert!(error.contains("checksum") && error.contains(blocks_of(&names)[1]), "{error}");
    assert!(matches!(Store::open(copy.path(), quiet()), Err(OpenError::HalfRestored { .. })));
}
