//! Uploading, letting go of the files here, and reading the same back.

use super::*;

#[test]
fn what_is_in_the_bucket_only_reads_alike_to_the_bit() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open_lean(dir.path(), &faulty);
    let before = fill(&store);
    store.upload().unwrap();
    assert_eq!(parquet_files_or_none(dir.path()), 0);
    let figures = store.figures().remote;
    assert_eq!((figures.n_uploads, figures.n_drops, figures.n_bucket_only, figures.n_backlog), (3, 3, 3, 0));
    assert_eq!(content(&store), before);
    assert!(store.figures().remote.n_cache_misses > 0);
    // Once more, without a request for samples.
    faulty.requests();
    assert_eq!(content(&store), before);
    assert_eq!(faulty.requests(), Vec::<String>::new());
    drop(store);
    // And after a restart, from the cache that is still there, and without it.
    let store = open_lean(dir.path(), &faulty);
    faulty.requests();
    assert_eq!(content(&store), before);
    assert_eq!(faulty.requests(), Vec::<String>::new());
    drop(store);
    std::fs::remove_dir_all(dir.path().join("cache")).unwrap();
    let store = open_lean(dir.path(), &faulty);
    assert_eq!(content(&store), before);
    // With no bucket configured it is said, and everything else works.
    drop(store);
    let store = Store::open(dir.path(), quiet()).unwrap();
    assert!(select_error(&store).to_string().contains("store.s3.bucket"));
    assert_eq!(store.keys(&Selector::all(), TimeRange::ALL).unwrap().len(), 4);
}

fn parquet_files_or_none(dir: &Path) -> usize {
    parquet_files(dir).len()
}

#[test]
fn the_objects_are_the_files_under_the_same_names() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open(dir.path(), &faulty);
    fill(&store);
    store.upload().unwrap();
    let local = parquet_files(dir.path());
    let names = faulty.names();
    assert_eq!((local.len(), blocks_of(&names).len()), (3, 3));
    for path in &local {
        let name = format!("site/{}", path.strip_prefix(dir.path()).unwrap().display());
        assert!(names.contains(&name), "{name} is not among {names:?}");
        let id = path.file_stem().unwrap().to_str().unwrap();
        assert!(names.contains(&format!("site/index/{id}.series")));
        let mut object = Vec::new();
        faulty.change(&name, |bytes| object.clone_from(bytes));
        assert_eq!(object, std::fs::read(path).unwrap());
    }
    assert!(names.contains(&"site/owner.json".to_owned()) && names.contains(&"site/manifest.json".to_owned()));
    assert_eq!(names.len(), 3 + 3 + 2);
    // Nothing more to do, and nothing asked.
    faulty.requests();
    store.upload().unwrap();
    assert_eq!(faulty.requests(), Vec::<String>::new());
}

#[test]
fn a_large_block_goes_in_parts_and_a_part_of_it_is_read_by_a_part() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open_lean(dir.path(), &faulty);
    // Noise, so that it does not compress.
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from_bits(0x3ff0_0000_0000_0000 | (state >> 12))
    };
    for series in 0..6_usize {
        let samples: Vec<_> = (0..300_000_i64).map(|at| (series, at, noise())).collect();
        store.append(&batch(&samples)).unwrap();
    }
    store.flush().unwrap();
    let before = content(&store);
    let n_bytes = store.figures().block_bytes;
    assert!(n_bytes > 10 << 20, "{n_bytes} bytes");
    faulty.requests();
    store.upload().unwrap();
    assert!(faulty.requests().iter().any(|request| request.starts_with("multipart")));
    let range = TimeRange::new(1_000, 1_500).unwrap();
    let selector = Selector::metric("disk");
    let found = store.select(&selector, range).unwrap();
    assert_eq!(found.iter().map(|series| series.samples.len()).sum::<usize>(), 3 * 500);
    let n_read = store.figures().remote.n_read_bytes;
    assert!(n_read > 0 && n_read < n_bytes / 3, "{n_read} of {n_bytes}");
    assert_eq!(content(&store), before);
}

#[test]
fn a_sidecar_that_is_lost_comes_from_the_bucket_or_is_made_from_the_block_there() {
    let (dir, faulty) = (tempfile::tempdir().unwrap(), Faulty::default());
    let store = open_lean(dir.path(), &faulty);
    let before = fill(&store);
    store.upload().unwrap();
    drop(store);
    let lose = || {
        for entry in std::fs::read_dir(dir.path().join("index")).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
    };
    lose();
    assert_eq!(content(&open_lean(dir.path(), &faulty)), before);
    assert_eq!(std::fs::read_dir(dir.path().join("index")).unwrap().count(), 3);
    lose();
    for name in faulty.names().iter().filter(|name| name.contains("/index/")) {
        faulty.remove(name);
    }
    assert_eq!(content(&open_lean(dir.path(), &faulty)), before);
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
}
