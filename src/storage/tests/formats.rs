//! The worked examples in `docs/formats/` are what the code writes and reads.

use super::super::block::{BlockIndex, Run};
use super::super::manifest::{BlockEntry, Manifest};
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
fn the_sidecar_in_the_documentation_is_one() {
    let example = bytes(include_str!("../../../docs/formats/block.md"));
    let index = BlockIndex::new(vec![Run { key: up(), row_start: 0, n_rows: 2, min_time: AT, max_time: AT + 15_000 }]);
    assert_eq!(BlockIndex::decode(&example).unwrap(), index);
    assert_eq!(index.encode(), example);
}

#[test]
fn the_manifest_in_the_documentation_is_one() {
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
    };
    let manifest = Manifest { wal_covered: 3, next_sequence: 2, blocks: vec![block] };
    assert_eq!(Manifest::decode(example.as_bytes()).unwrap(), manifest);
    assert_eq!(String::from_utf8(manifest.encode()).unwrap(), example);
}
