//! A service that is down, hangs, refuses, forgets or lies costs time, and never a sample.

use super::*;

#[test]
fn an_upload_that_fails_changes_nothing_and_is_done_again() {
    for mode in [Mode::Fail, Mode::Deny, Mode::Hang, Mode::SpoilPuts] {
        let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
        let store = open_lean(dir.path(), &faulty);
        let before = fill(&store);
        faulty.set(mode);
        store.upload().expect_err("the bucket does not do its part");
        assert_eq!(parquet_files(dir.path()).len(), 3, "{mode:?}");
        assert_eq!(content(&store), before, "{mode:?}");
        // Writing goes on.
        store.append(&batch(&[(1, 90 * DAY, 1.0)])).unwrap();
        store.flush().unwrap();
        let before = content(&store);
        faulty.set(Mode::Fine);
        store.upload().unwrap();
        assert_eq!(parquet_files(dir.path()).len(), 0, "{mode:?}");
        assert_eq!(content(&store), before, "{mode:?}");
    }
}

#[test]
fn a_bucket_that_is_down_is_told_and_holds_up_nothing_that_is_here() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open_lean(dir.path(), &faulty);
    fill(&store);
    store.upload().unwrap();
    drop(store);
    std::fs::remove_dir_all(dir.path().join("cache")).unwrap();
    for mode in [Mode::Fail, Mode::Deny, Mode::Hang] {
        faulty.set(mode);
        // Opening works, and so do new samples and labels of old ones.
        let store = open_lean(dir.path(), &faulty);
        store.append(&batch(&[(1, 200 * DAY, 1.0)])).unwrap();
        let young = TimeRange::new(199 * DAY, 201 * DAY).unwrap();
        assert_eq!(store.select(&Selector::all(), young).unwrap().len(), 1);
        assert_eq!(store.keys(&Selector::all(), TimeRange::ALL).unwrap().len(), 4);
        let error = select_error(&store);
        assert!(error.is_for_want_of_a_bucket(), "{mode:?}: {error}");
        assert!(error.to_string().contains("s3://metrics/site"), "{mode:?}: {error}");
        assert!(!store.figures().remote.is_reachable);
        // Known to be down, it is not asked again for each question.
        faulty.requests();
        select_error(&store);
        assert_eq!(faulty.requests(), Vec::<String>::new(), "{mode:?}");
        // Neither deletes nor merges wait for it.
        store.delete(&Selector::metric("cpu"), TimeRange::new(0, 1).unwrap()).unwrap();
        store.compact().unwrap();
    }
}

#[test]
fn wrong_bytes_are_an_error_and_never_an_answer() {
    for mode in [Mode::CutShort, Mode::SpoilGets] {
        let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
        let store = open_lean(dir.path(), &faulty);
        let before = fill(&store);
        store.upload().unwrap();
        faulty.set(mode);
        let error = select_error(&store).to_string();
        faulty.set(Mode::Fine);
        // What was cached of it does not outlive the trouble.
        assert_eq!(content(&store), before, "{mode:?} after {error}");
        assert_eq!(store.figures().n_quarantined, 0);
    }
}

#[test]
fn a_file_stays_here_when_the_bucket_has_lost_or_changed_its_own() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open(dir.path(), &faulty);
    let before = fill(&store);
    store.upload().unwrap();
    drop(store);
    let names = faulty.names();
    let blocks = blocks_of(&names);
    faulty.remove(blocks[0]);
    faulty.change(blocks[1], |bytes| bytes[100] ^= 1);
    let store = open_lean(dir.path(), &faulty);
    store.upload().unwrap();
    assert_eq!(parquet_files(dir.path()).len(), 2, "only what is verified goes");
    // They are uploaded again, and then they go.
    store.upload().unwrap();
    assert_eq!(parquet_files(dir.path()).len(), 0);
    assert_eq!(content(&store), before);
}

#[test]
fn a_damaged_file_here_is_replaced_by_the_bucket_s() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open(dir.path(), &faulty);
    let before = fill(&store);
    store.upload().unwrap();
    drop(store);
    let files = parquet_files(dir.path());
    let mut bytes = std::fs::read(&files[0]).unwrap();
    let n = bytes.len() / 2;
    bytes[4..n].iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(&files[0], bytes).unwrap();
    std::fs::write(&files[1], "short").unwrap();
    std::fs::remove_file(&files[2]).unwrap();
    let store = open(dir.path(), &faulty);
    assert_eq!(content(&store), before);
    assert_eq!(store.figures().remote.n_bucket_only, 3);
    assert_eq!(std::fs::read_dir(dir.path().join("quarantine")).unwrap().count(), 2);
}

#[test]
fn a_damaged_file_is_not_uploaded() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open(dir.path(), &faulty);
    fill(&store);
    let files = parquet_files(dir.path());
    let mut bytes = std::fs::read(&files[0]).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&files[0], bytes).unwrap();
    let error = store.upload().unwrap_err().to_string();
    assert!(error.contains("checksum"), "{error}");
    assert_eq!(blocks_of(&faulty.names()).len(), 0);
}
