//! Checking and quarantining: whatever is damaged is told, and the rest is served afterwards.

use super::super::deletes::{Delete, Tombstones};
use super::super::files::fault::{Call, Fault};
use super::super::layout::Layout;
use super::super::manifest::Manifest;
use super::super::salvage::{n_left, salvage};
use super::*;

/// A closed directory with a delete that waits, three blocks and a log of two segments.
fn dir_with_everything() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let files = FaultFiles::default();
    let store = Store::open_with(Arc::new(files.clone()), dir.path(), StoreSettings { segment_size: 1, ..quiet() });
    let store = store.unwrap();
    store.append(&batch(&[(0, 1, 1.0), (1, 1, 2.0), (0, DAY, 3.0), (3, DAY, 3.5)])).unwrap();
    store.flush().unwrap();
    // Nothing can be rewritten, so that the delete stays.
    let fault = Fault { call: Call::Write, path: ".parquet", kind: std::io::ErrorKind::Other };
    files.fail(&[fault]);
    store.delete(&Selector::exactly(&key(3)), TimeRange::ALL).unwrap();
    store.append(&batch(&[(0, DAY + 1, 4.0)])).unwrap();
    store.append(&batch(&[(0, DAY + 2, 5.0)])).unwrap();
    dir
}

fn all_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(all_files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn copy_of(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for path in all_files(dir) {
        let to = copy.path().join(path.strip_prefix(dir).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(path, to).unwrap();
    }
    copy
}

#[test]
fn a_sound_directory_has_no_findings_and_is_left_as_it_is() {
    let dir = dir_with_everything();
    let state = |dir: &Path| -> Vec<_> {
        let all = all_files(dir).into_iter().filter(|path| !path.ends_with("lock"));
        all.map(|path| (std::fs::read(&path).unwrap(), path)).collect()
    };
    let before = state(dir.path());
    let report = fsck(dir.path()).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!((report.n_blocks, report.n_block_samples, report.n_segments, report.n_log_samples), (2, 4, 2, 2));
    assert_eq!(state(dir.path()), before);
    let report = fsck_and_quarantine(dir.path()).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(state(dir.path()), before);
}

#[test]
fn a_directory_in_use_or_of_something_else_is_refused() {
    let dir = dir_with_everything();
    let store = Store::open(dir.path(), quiet()).unwrap();
    let error = fsck(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    drop(store);
    let other = tempfile::tempdir().unwrap();
    assert!(matches!(fsck(other.path()), Err(OpenError::NotData { .. })));
    assert!(matches!(fsck(&other.path().join("none")), Err(OpenError::NotData { .. })));
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 0, "looking leaves nothing behind");
}

/// Whatever the damage: it is found, quarantining puts the directory right, and what is served was there before.
fn check_damage(dir: &Path, before: &Content, case: &str) {
    let report = fsck(dir).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert!(!report.findings.is_empty(), "{case}: nothing was found");
    let report = fsck_and_quarantine(dir).unwrap_or_else(|error| panic!("{case}: {error}"));
    for finding in &report.findings {
        assert!(finding.done.is_some(), "{case}: {finding}");
    }
    let again = fsck(dir).unwrap();
    assert!(again.findings.is_empty(), "{case}: still {:?}", again.findings);
    let store = Store::open(dir, quiet()).unwrap_or_else(|error| panic!("{case}: {error}"));
    let after = content(&store);
    for (sample, value) in &after {
        assert_eq!(before.get(sample), Some(value), "{case}: {sample:?} was invented");
    }
    let is_lossy = report.findings.iter().any(|finding| finding.lost.is_some());
    assert!(is_lossy || after == *before, "{case}: samples are lost and nobody says so");
    store.append(&batch(&[(0, 3, 1.0)])).unwrap();
    store.flush().unwrap();
}

#[test]
fn every_file_may_have_changed_anywhere() {
    let dir = dir_with_everything();
    let before = content(&Store::open(copy_of(dir.path()).path(), quiet()).unwrap());
    assert_eq!(before.len(), 5);
    let mut n_cases = 0;
    for path in all_files(dir.path()) {
        let name = path.strip_prefix(dir.path()).unwrap();
        // The last record of a segment may always be a write that was not acknowledged.
        let is_log = name.starts_with("wal");
        if name == Path::new("lock") {
            continue;
        }
        let whole = std::fs::read(&path).unwrap();
        let step = if whole.len() > 2_000 { 97 } else { 17 };
        for at in (0..whole.len()).step_by(step) {
            let copy = copy_of(dir.path());
            let mut bytes = whole.clone();
            bytes[at] ^= 0x11;
            std::fs::write(copy.path().join(name), &bytes).unwrap();
            let report = fsck(copy.path()).unwrap();
            let is_header = is_log && at < 64;
            let is_tail =
                is_log && report.findings.is_empty() && report.notes.iter().any(|note| note.contains("cut short"));
            if !(is_header || is_tail) {
                check_damage(copy.path(), &before, &format!("{} byte {at}", name.display()));
                n_cases += 1;
            }
        }
        let cut = copy_of(dir.path());
        std::fs::remove_file(cut.path().join(name)).unwrap();
        if !is_log {
            check_damage(cut.path(), &before, &format!("{} removed", name.display()));
        }
    }
    assert!(n_cases > 100, "{n_cases}");
}

#[test]
fn a_finding_says_what_is_lost_and_what_to_do() {
    let dir = dir_with_everything();
    let block = parquet_files(dir.path()).remove(0);
    let n_bytes = std::fs::metadata(&block).unwrap().len() as usize;
    std::fs::write(&block, vec![0x5a; n_bytes]).unwrap();
    let report = fsck(dir.path()).unwrap();
    let text = report.findings[0].to_string();
    for words in ["checksum", "2 samples from 1970-01-01T00:00:00.001Z", "--quarantine", &block.display().to_string()] {
        assert!(text.contains(words), "{text}");
    }
    let report = fsck_and_quarantine(dir.path()).unwrap();
    assert!(report.findings[0].to_string().contains("moved to"), "{}", report.findings[0]);
    assert!(!block.exists());
}

#[test]
fn a_file_that_no_manifest_names_is_told_from_what_a_crash_leaves() {
    let dir = dir_with_everything();
    let block = parquet_files(dir.path()).remove(0);
    std::fs::copy(&block, block.with_file_name("01ARZ3NDEKTSV4RRFFQ69G5FAV.parquet")).unwrap();
    std::fs::write(block.with_file_name("notes.txt"), "mine").unwrap();
    std::fs::write(dir.path().join("index/01ARZ3NDEKTSV4RRFFQ69G5FAV.series"), "").unwrap();
    std::fs::write(dir.path().join("tmp/half"), "").unwrap();
    let report = fsck_and_quarantine(dir.path()).unwrap();
    let found: Vec<String> = report.findings.iter().map(|finding| finding.what.clone()).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().any(|what| what.contains("is whole")) && found.iter().any(|what| what.contains("is none")));
    assert_eq!(report.notes.len(), 2, "{:?}", report.notes);
    assert!(fsck(dir.path()).unwrap().findings.is_empty());
}

#[test]
fn a_newer_format_is_left_to_a_newer_barograph() {
    let dir = dir_with_everything();
    std::fs::write(dir.path().join("manifest.json"), r#"{"format": 9}"#).unwrap();
    let report = fsck_and_quarantine(dir.path()).unwrap();
    assert!(report.findings[0].what.contains("version 9") && report.findings[0].done.is_none());
    assert_eq!(std::fs::read_to_string(dir.path().join("manifest.json")).unwrap(), r#"{"format": 9}"#);
}

#[test]
fn a_block_that_turns_out_damaged_while_serving_is_set_aside_and_the_rest_served() {
    for is_merged in [false, true] {
        let dir = dir_with_everything();
        let store = Store::open(dir.path(), StoreSettings { max_blocks_per_day: 2, ..quiet() }).unwrap();
        let block = parquet_files(dir.path()).remove(0);
        let n_bytes = std::fs::metadata(&block).unwrap().len() as usize;
        // Same size, so that opening notices nothing.
        std::fs::write(&block, vec![0x5a; n_bytes]).unwrap();
        if is_merged {
            // A delete asks for the block to be rewritten: the background finds it, not a reader.
            store.delete(&Selector::exactly(&key(0)), TimeRange::new(0, 2).unwrap()).unwrap();
            let _ = store.keeper().keep_house();
            assert_eq!(store.figures().n_quarantined, 1);
        }
        let after = content(&store);
        assert!(!after.is_empty() && after.keys().all(|(_, at)| *at >= DAY), "{after:?}");
        assert_eq!(store.figures().n_quarantined, 1);
        assert!(!block.exists());
        store.append(&batch(&[(0, 5, 1.0)])).unwrap();
        store.flush().unwrap();
        store.compact().unwrap();
        let n_left = content(&store).len();
        drop(store);
        let report = fsck(dir.path()).unwrap();
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        assert_eq!(content(&Store::open(dir.path(), quiet()).unwrap()).len(), n_left);
    }
}

#[test]
fn a_merge_does_not_give_damage_a_right_checksum() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreSettings { max_blocks_per_day: 2, ..quiet() }).unwrap();
    let today = shared::now();
    for round in 0..3 {
        store.append(&batch(&[(0, today + round, 1.5), (2, today + round, 2.5)])).unwrap();
        store.flush().unwrap();
    }
    let block = parquet_files(dir.path()).remove(0);
    let mut bytes = std::fs::read(&block).unwrap();
    // A bit in the footer's text: it decodes as before.
    let at = bytes.windows(9).position(|window| window == b"barograph").unwrap();
    bytes[at + 9] ^= 1;
    std::fs::write(&block, bytes).unwrap();
    let error = store.compact().unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
}

/// A store with two blocks of two series each, whose rows fill several pages.
fn dir_with_pages() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    for round in 0..2 {
        let rows = (0..30_000).flat_map(|row| {
            let at = row * 100 + round;
            [0, 2].map(|series| (key(series), Sample { at, value: ((row * 7_919 + at) % 10_007) as f64 }))
        });
        store.append(&Batch::from_samples(rows)).unwrap();
        store.flush().unwrap();
    }
    store.append(&batch(&[(1, 7, 1.0)])).unwrap();
    store.flush().unwrap();
    store.close().unwrap();
    dir
}

#[test]
fn what_can_be_read_of_a_damaged_block_is_served_again_and_the_block_kept_aside() {
    let dir = dir_with_pages();
    let before = content(&Store::open(dir.path(), quiet()).unwrap());
    let path = parquet_files(dir.path()).into_iter().max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut most_saved = 0;
    for part in 0..8 {
        let copy = copy_of(dir.path());
        let damaged = copy.path().join(path.strip_prefix(dir.path()).unwrap());
        let mut bytes = whole.clone();
        bytes[(2 * part + 1) * whole.len() / 16] ^= 0x10;
        std::fs::write(&damaged, &bytes).unwrap();
        check_damage(copy.path(), &before, &format!("part {part}"));
        let after = content(&Store::open(copy.path(), quiet()).unwrap());
        // One page, or one dictionary with the pages of its row group, of several.
        assert!(after.len() * 2 > before.len(), "part {part}: {} of {} are left", after.len(), before.len());
        most_saved = most_saved.max(after.len());
        assert!(!damaged.exists());
        let aside = std::fs::read_dir(copy.path().join("quarantine")).unwrap().map(|entry| entry.unwrap().path());
        assert!(aside.map(|path| std::fs::read(path).unwrap()).any(|kept| kept == bytes), "part {part}: it is gone");
    }
    assert!(most_saved > before.len() * 9 / 10, "{most_saved} of {}", before.len());
}

#[test]
fn what_is_deleted_does_not_come_back_from_a_damaged_block() {
    let dir = dir_with_pages();
    let entry = Manifest::load(&Disk, dir.path()).unwrap().unwrap().blocks.remove(0);
    let layout = Layout::new(dir.path());
    let block = layout.block(&entry.date, &entry.id);
    let mut bytes = std::fs::read(&block).unwrap();
    // In the footer, which is not needed.
    let at = bytes.len() - 40;
    bytes[at] ^= 0x10;
    std::fs::write(&block, bytes).unwrap();
    assert_eq!(n_left(&Disk, &layout, &entry), 60_000);
    let delete = Delete::new("D".into(), &Selector::exactly(&key(0)), TimeRange::ALL, 0, vec![entry.id.clone()]);
    let tombstones = Tombstones::of(&[delete]).unwrap();
    let saved = salvage(&Disk, &layout, &entry, 0, &tombstones).unwrap().unwrap();
    assert_eq!((saved.n_series, saved.n_samples, saved.sequence), (1, 30_000, entry.sequence));
    std::fs::remove_file(layout.sidecar(&entry.id)).unwrap();
    assert_eq!(n_left(&Disk, &layout, &entry), 0);
}

#[test]
fn what_can_be_read_of_a_block_is_served_on_when_damage_shows_while_serving() {
    let dir = dir_with_pages();
    let store = Store::open(dir.path(), quiet()).unwrap();
    let before = content(&store);
    let path = parquet_files(dir.path()).into_iter().max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&path, &bytes).unwrap();
    let after = content(&store);
    assert_eq!(store.figures().n_quarantined, 1);
    assert!(after.iter().all(|(sample, value)| before.get(sample) == Some(value)), "a sample was invented");
    assert!(after.len() < before.len() && after.len() * 3 > before.len() * 2, "{} of {}", after.len(), before.len());
    drop(store);
    assert!(fsck(dir.path()).unwrap().findings.is_empty());
    assert_eq!(content(&Store::open(dir.path(), quiet()).unwrap()), after);
}
