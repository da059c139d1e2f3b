//! The worked examples in `docs/formats/` are what the code writes and reads.

use super::super::block::{BlockIndex, BlockReader, Unzip, example_block};
use super::super::deletes::{Condition, Delete};
use super::super::layout::END_TIME;
use super::super::manifest::{BlockEntry, Manifest, Place, Superseded};
use super::super::tiers::{TierEntry, fold};
use super::super::wal::frame::{FRAME_LEN, Header, encode_frame};
use super::super::wal::record::{SEAL_PAYLOAD, encode_samples, encode_series};
use super::super::wal::replay::{Replay, replay};
use super::*;

const SALT: u64 = 0x0123_4567_89ab_cdef;
const AT: Millis = 1_700_000_000_000;

fn fenced<'a>(page: &'a str, language: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

fn bytes(page: &str) -> Vec<u8> {
    fenced(page, "hex").split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    bytes.chunks(16).map(line).collect::<Vec<_>>().join("\n")
}

fn up() -> Key {
    Key::from_pairs("up", &[("job", "node")]).unwrap()
}

#[test]
fn the_segment_in_the_documentation_is_one() {
    let example = bytes(include_str!("../../../docs/formats/wal-segment.md"));
    let mut samples = Vec::new();
    let replayed = replay(&example, |key, at, value| samples.push((key.clone(), at, value))).unwrap();
    assert_eq!(replayed, Replay { n_samples: 2, ..Replay::default() });
    assert_eq!(samples, [(up(), AT, 1.0), (up(), AT + 15_000, 0.0)]);

    let mut written = Header { seq: 1, salt: SALT }.encode().to_vec();
    let (mut series, mut columns) = (Vec::new(), Vec::new());
    encode_series(&[(0, up())], &mut series);
    encode_samples(&[0, 0], &[AT, AT + 15_000], &[1.0, 0.0], &mut columns);
    for payload in [&series[..], &columns, &SEAL_PAYLOAD] {
        let frame: [u8; FRAME_LEN] = encode_frame(SALT, written.len() as u64, payload.len(), crc32fast::hash(payload));
        written.extend_from_slice(&frame);
        written.extend_from_slice(payload);
    }
    assert_eq!(written, example);
}

#[test]
fn the_block_and_the_sidecar_in_the_documentation_are_what_is_written_and_read() {
    let page = include_str!("../../../docs/formats/block.md");
    let (_, after) = page.split_once("### Example").unwrap();
    let (first, second) = after.split_once("and its sidecar").unwrap();
    let (block, sidecar) = (bytes(first), bytes(second));
    let samples = [Sample { at: AT, value: 1.0 }, Sample { at: AT + 15_000, value: 0.0 }];
    let written = example_block(&up(), &samples);
    assert_eq!(hex(&written.0), hex(&block));
    assert_eq!(hex(&written.1), hex(&sidecar));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("example");
    std::fs::write(&path, &block).unwrap();
    let index = Arc::new(BlockIndex::decode(&sidecar).unwrap());
    assert_eq!(index.key(&index.run(0)).unwrap(), up());
    let (run, mut read) = (index.run(0), Vec::new());
    let mut reader = BlockReader::new(Box::new(std::fs::File::open(&path).unwrap()), index);
    reader.run(&mut Unzip::new().unwrap(), &run, TimeRange::ALL, &mut read).unwrap();
    assert_eq!(read, samples);
}

#[test]
fn the_tier_in_the_documentation_is_what_samples_become() {
    let page = include_str!("../../../docs/formats/tier.md");
    let entry: TierEntry = serde_json::from_str(fenced(page, "json")).unwrap();
    let rows: Vec<Vec<&str>> =
        fenced(page, "text").lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let (samples, windows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.len() == 2);
    let sample = |row: &Vec<&str>| Sample { at: row[0].parse().unwrap(), value: row[1].parse().unwrap() };
    let samples: Vec<Sample> = samples.iter().filter(|row| row[0] != "timestamp").map(sample).collect();
    let window = |row: &Vec<&str>| Window {
        start: row[0].parse().unwrap(),
        min: row[1].parse().unwrap(),
        max: row[2].parse().unwrap(),
        sum: row[3].parse().unwrap(),
        count: row[4].parse().unwrap(),
        last: row[5].parse().unwrap(),
    };
    let windows: Vec<Window> = windows.iter().filter(|row| row[0] != "timestamp").map(window).collect();
    assert_eq!((samples.len(), windows.len()), (5, 2));
    assert_eq!(fold(&samples, Tier::FiveMinutes.width()), windows);
    // And so does a store, whose manifest has such an entry.
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings { retention_5m: Some(100_000 * DAY), ..quiet() };
    let store = Store::open(dir.path(), settings).unwrap();
    store.append(&Batch::from_samples(samples.iter().map(|sample| (up(), *sample)))).unwrap();
    store.flush().unwrap();
    store.keeper().downsample(shared::now() + DAY).unwrap();
    let found = store.select_downsampled(&Selector::all(), TimeRange::ALL, Tier::FiveMinutes.width()).unwrap();
    assert_eq!((found.tier, &found.series[0].windows), (Some(Tier::FiveMinutes), &windows));
    let made = Manifest::load(&Disk, dir.path()).unwrap().unwrap().tiers.remove(0);
    let TierEntry { id, source, crc32, n_bytes, .. } = entry.clone();
    assert_eq!(TierEntry { id, source, crc32, n_bytes, ..made }, entry);
}

#[test]
fn the_snapshot_in_the_documentation_has_the_files_that_one_has() {
    let page = include_str!("../../../docs/formats/snapshot.md");
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    store.append(&Batch::from_samples([(up(), Sample { at: AT, value: 1.0 })])).unwrap();
    let snapshot = store.snapshot().unwrap();
    let mut found = Vec::new();
    let mut folders = vec![snapshot.path.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.strip_prefix(&snapshot.path).unwrap().display().to_string();
            found.push(if entry.is_dir() { format!("{name}/") } else { name });
            folders.extend(entry.is_dir().then_some(entry));
        }
    }
    found.sort();
    let block = Manifest::load(&Disk, &snapshot.path).unwrap().unwrap().blocks.remove(0).id;
    let found: Vec<String> = found.iter().map(|name| name.replace(&block, "01KAJ2V0W3Q6S8N7M5R4T1Y9ZC")).collect();
    assert_eq!(fenced(page, "text").trim_end(), found.join("\n"));
}

#[test]
fn the_manifest_and_the_delete_in_the_documentation_are_what_is_written() {
    let example = fenced(include_str!("../../../docs/formats/manifest.md"), "json");
    let block = BlockEntry {
        id: "01KAJ2V0W3Q6S8N7M5R4T1Y9ZC".to_owned(),
        date: "2023-11-14".to_owned(),
        sequence: 1,
        n_samples: 2,
        n_series: 1,
        min_time: AT,
        max_time: AT + 15_000,
        n_bytes: 2875,
        crc32: Some("0badcafe".to_owned()),
        is_lasting: false,
        place: Place::Local,
    };
    let delete = Delete {
        id: "01KAJ5C8Z6D1F0G9H7J5K3M2NB".to_owned(),
        matchers: vec![Condition { name: "job".into(), op: "=".into(), value: "node".into() }],
        start: AT + 10_000,
        end: END_TIME,
        wal_upto: 3,
        blocks: vec![block.id.clone()],
    };
    let page = fenced(include_str!("../../../docs/formats/delete.md"), "json");
    assert_eq!(Delete::decode(page.as_bytes()).unwrap(), delete);
    assert_eq!(String::from_utf8(delete.encode()).unwrap(), page);
    let gone = vec!["01KAJ1A0B2C4D6E8F0G2H4J6KM".to_owned()];
    let manifest = Manifest {
        wal_covered: 3,
        next_sequence: 2,
        blocks: vec![block],
        deletes: vec![delete],
        gone,
        ..Manifest::default()
    };
    assert_eq!(Manifest::decode(example.as_bytes()).unwrap(), manifest);
    assert_eq!(String::from_utf8(manifest.encode()).unwrap(), example);
}

#[test]
fn the_manifest_with_a_bucket_in_the_documentation_is_what_is_written() {
    let page = include_str!("../../../docs/formats/manifest.md");
    let (_, rest) = page.split_once("With a block in a bucket only").unwrap();
    let example = fenced(rest, "json");
    let block = |id: &str, sequence, n_samples, n_bytes, crc32: &str, place| BlockEntry {
        id: id.to_owned(),
        date: "2023-11-14".to_owned(),
        sequence,
        n_samples,
        n_series: 1,
        min_time: AT,
        max_time: AT + 15_000 * (n_samples as Millis - 1),
        n_bytes,
        crc32: Some(crc32.to_owned()),
        is_lasting: false,
        place,
    };
    let live = block("01KAJ2V0W3Q6S8N7M5R4T1Y9ZC", 1, 2, 2875, "0badcafe", Place::Bucket);
    let old = block("01KAJ1A0B2C4D6E8F0G2H4J6KM", 0, 1, 2811, "0badbabe", Place::Both);
    let superseded = vec![Superseded { block: old, by: Some(live.id.clone()) }];
    let manifest = Manifest { wal_covered: 3, next_sequence: 2, blocks: vec![live], superseded, ..Manifest::default() };
    assert_eq!(String::from_utf8(manifest.encode()).unwrap(), example);
    assert_eq!(Manifest::decode(example.as_bytes()).unwrap(), manifest);
}

/// A data directory as the first version wrote it: it opens for ever.
///
/// Two flushes, with a late and a double sample between them, and a log with two samples more. Written by the commit
/// before manifests of version 2; see `data/README.md` beside it.
#[test]
fn a_directory_of_version_1_opens() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/storage/tests/data/v1");
    let dir = tempfile::tempdir().unwrap();
    copy_dir(&source, dir.path());
    let report = fsck(dir.path()).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!((report.n_blocks, report.n_block_samples, report.n_segments, report.n_log_samples), (5, 1203, 1, 2));
    // Sidecars of the first version are no damage; each is made again when it is used.
    let is_about_sidecars = |note: &String| note.contains("is of an earlier version");
    assert_eq!(report.notes.iter().filter(|note| is_about_sidecars(note)).count(), 5, "{:?}", report.notes);
    let check = |store: &Store| {
        let found = content(store);
        assert_eq!(found.len(), 1204);
        let value = |host: &str, at| {
            let key = Key::from_pairs("node_load1", &[("host", host), ("job", "node")]).unwrap();
            found.get(&(key.to_string(), at)).map(|bits| f64::from_bits(*bits))
        };
        assert_eq!(value("db-1", AT), Some(100.0), "the later of two");
        assert_eq!(value("db-1", AT + 15_000 * 20), Some(3.0));
        assert_eq!(value("web-1", AT + 15_000 * 599), Some(4.0 * 0.25));
        assert_eq!(value("db-1", AT + 15_000 * 600).map(f64::to_bits), Some(crate::series::STALE_MARKER_BITS));
        assert_eq!(value("web-1", AT + DAY).map(f64::to_bits), Some((-0.0_f64).to_bits()));
        let odd = Key::from_pairs("disk_used_bytes", &[("path", "/mnt/\u{e4} \"b\"\n")]).unwrap();
        let of_odd = |at| found.get(&(odd.to_string(), at)).map(|bits| f64::from_bits(*bits));
        assert_eq!((of_odd(-1), of_odd(AT + DAY)), (Some(1e300), Some(f64::INFINITY)));
    };
    let store = Store::open(dir.path(), quiet()).unwrap();
    check(&store);
    assert_eq!(store.figures().n_quarantined, 0);
    assert!(
        !std::fs::read_dir(dir.path().join("index"))
            .unwrap()
            .any(|entry| { BlockIndex::is_outdated(&std::fs::read(entry.unwrap().path()).unwrap()) })
    );
    // And is written on with what this version writes.
    store.flush().unwrap();
    store.compact().unwrap();
    store.keeper().merge_all_at(shared::now() + DAY, true).unwrap();
    check(&store);
    drop(store);
    check(&Store::open(dir.path(), quiet()).unwrap());
    assert!(fsck(dir.path()).unwrap().findings.is_empty());
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_dir(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
