//! A segment's header and the frame around each record.
//!
//! A frame's checksum takes in a salt from the segment's header and the frame's place in the file, so that neither
//! bytes of an older file nor a label value made to look like a frame is ever taken for a record.

use std::ops::Range;

/// The version of the segment format this build writes, and the newest it reads.
pub(in crate::storage) const SEGMENT_VERSION: u32 = 1;

const SEGMENT_MAGIC: [u8; 8] = *b"barowal\n";
const FRAME_MAGIC: [u8; 4] = [0xb5, b'r', b'e', b'c'];
const COPY_LEN: usize = 32;

/// Bytes of a segment's header: two copies, so that one damaged byte in it does not cost the whole segment.
pub(in crate::storage) const HEADER_LEN: usize = 2 * COPY_LEN;
/// Bytes of a frame before its payload.
pub(in crate::storage) const FRAME_LEN: usize = 16;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) struct Header {
    pub(in crate::storage) seq: u64,
    pub(in crate::storage) salt: u64,
}

/// Why a segment's header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum BadHeader {
    /// The file ends inside its header: a crash while it was made, before anything was acknowledged.
    CutShort,
    /// Neither copy has a right checksum.
    Damaged,
    /// A format of the future.
    Version(u32),
}

impl Header {
    /// The header's bytes.
    pub(in crate::storage) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut copy = [0; COPY_LEN];
        copy[..8].copy_from_slice(&SEGMENT_MAGIC);
        copy[8..12].copy_from_slice(&SEGMENT_VERSION.to_le_bytes());
        copy[12..20].copy_from_slice(&self.seq.to_le_bytes());
        copy[20..28].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32fast::hash(&copy[..28]);
        copy[28..].copy_from_slice(&crc.to_le_bytes());
        let mut bytes = [0; HEADER_LEN];
        bytes[..COPY_LEN].copy_from_slice(&copy);
        bytes[COPY_LEN..].copy_from_slice(&copy);
        bytes
    }

    /// Reads the header from the start of a segment.
    pub(in crate::storage) fn decode(segment: &[u8]) -> Result<Header, BadHeader> {
        let copies = [0..COPY_LEN, COPY_LEN..HEADER_LEN].map(|range| segment.get(range).and_then(decode_copy));
        match copies.into_iter().flatten().next() {
            Some((version, _)) if version > SEGMENT_VERSION => Err(BadHeader::Version(version)),
            Some((_, header)) => Ok(header),
            None if segment.len() < HEADER_LEN => Err(BadHeader::CutShort),
            // A file of zeros is what some file systems leave of one that was made just before the power went.
            None if segment.iter().all(|byte| *byte == 0) => Err(BadHeader::CutShort),
            None => Err(BadHeader::Damaged),
        }
    }
}

fn decode_copy(copy: &[u8]) -> Option<(u32, Header)> {
    let is_whole = copy[..8] == SEGMENT_MAGIC && crc32fast::hash(&copy[..28]) == u32_at(copy, 28);
    is_whole.then(|| (u32_at(copy, 8), Header { seq: u64_at(copy, 12), salt: u64_at(copy, 20) }))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// The frame's own bytes for a payload of `len` bytes with checksum `crc` at `offset` of a segment.
pub(in crate::storage) fn encode_frame(salt: u64, offset: u64, len: usize, crc: u32) -> [u8; FRAME_LEN] {
    let len = u32::try_from(len).expect("a record holds 65,536 samples or 256 series, far below 4 GiB");
    let mut bytes = [0; FRAME_LEN];
    bytes[..4].copy_from_slice(&FRAME_MAGIC);
    bytes[4..8].copy_from_slice(&len.to_le_bytes());
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    bytes[12..].copy_from_slice(&seal_of(salt, offset, len, crc).to_le_bytes());
    bytes
}

fn seal_of(salt: u64, offset: u64, len: u32, crc: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(&len.to_le_bytes());
    hasher.update(&crc.to_le_bytes());
    hasher.finalize()
}

/// A stretch of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Stretch {
    /// A payload whose checksum is right.
    Whole(Range<usize>),
    /// Bytes that hold no whole frame, with whole frames after them: stored bytes have changed.
    Damaged(Range<usize>),
    /// Bytes at the end that hold no whole frame: what a crash leaves of an unacknowledged write.
    Torn(Range<usize>),
}

/// Every stretch of a segment after its header, in order.
pub(in crate::storage) fn stretches(segment: &[u8], salt: u64) -> Vec<Stretch> {
    let mut found = Vec::new();
    let mut offset = HEADER_LEN.min(segment.len());
    while offset < segment.len() {
        if let Some(payload) = frame_at(segment, salt, offset) {
            offset = payload.end;
            found.push(Stretch::Whole(payload));
        } else if let Some(next) = (offset + 1..segment.len()).find(|at| frame_at(segment, salt, *at).is_some()) {
            found.push(Stretch::Damaged(offset..next));
            offset = next;
        } else {
            found.push(Stretch::Torn(offset..segment.len()));
            offset = segment.len();
        }
    }
    found
}

fn frame_at(segment: &[u8], salt: u64, offset: usize) -> Option<Range<usize>> {
    let frame = segment.get(offset..offset + FRAME_LEN)?;
    if frame[..4] != FRAME_MAGIC {
        return None;
    }
    let (len, crc, seal) = (u32_at(frame, 4), u32_at(frame, 8), u32_at(frame, 12));
    // The seal is checked first: a wrong length must not send us reading elsewhere.
    if seal != seal_of(salt, offset as u64, len, crc) {
        return None;
    }
    let payload = offset + FRAME_LEN..offset + FRAME_LEN + len as usize;
    (crc32fast::hash(segment.get(payload.clone())?) == crc).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: u64 = 0x0123_4567_89ab_cdef;

    fn segment(payloads: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Header { seq: 3, salt: SALT }.encode().to_vec();
        for payload in payloads {
            let frame = encode_frame(SALT, bytes.len() as u64, payload.len(), crc32fast::hash(payload));
            bytes.extend_from_slice(&frame);
            bytes.extend_from_slice(payload);
        }
        bytes
    }

    fn wholes(segment: &[u8]) -> Vec<&[u8]> {
        let whole = |stretch| match stretch {
            Stretch::Whole(range) => Some(&segment[range]),
            Stretch::Damaged(_) | Stretch::Torn(_) => None,
        };
        stretches(segment, SALT).into_iter().filter_map(whole).collect()
    }

    #[test]
    fn either_copy_of_the_header_is_enough() {
        let header = Header { seq: 7, salt: SALT };
        for at in 0..HEADER_LEN {
            let mut bytes = header.encode();
            bytes[at] ^= 0x40;
            assert_eq!(Header::decode(&bytes), Ok(header), "byte {at}");
        }
        let mut bytes = header.encode();
        (bytes[1], bytes[COPY_LEN + 1]) = (0, 0);
        assert_eq!(Header::decode(&bytes), Err(BadHeader::Damaged));
        assert_eq!(Header::decode(&[0; 100]), Err(BadHeader::CutShort));
        assert_eq!(Header::decode(b"baro"), Err(BadHeader::CutShort));
    }

    #[test]
    fn every_cut_ends_in_a_torn_tail_and_loses_only_the_last() {
        let whole = segment(&[b"first", b"second", b"third"]);
        let third = whole.len() - FRAME_LEN - 5;
        for len in third..whole.len() {
            assert_eq!(wholes(&whole[..len]), [b"first".as_slice(), b"second"]);
            let is_torn = matches!(stretches(&whole[..len], SALT).last(), Some(Stretch::Torn(_)));
            assert_eq!(is_torn, len > third, "cut at {len}");
        }
    }

    #[test]
    fn a_flipped_bit_costs_one_record_and_is_damage_when_more_follow() {
        let whole = segment(&[b"first", b"second", b"third"]);
        let (second, third) = (HEADER_LEN + FRAME_LEN + 5, whole.len() - FRAME_LEN - 5);
        for at in second..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                if at < third {
                    assert_eq!(wholes(&bytes), [b"first".as_slice(), b"third"]);
                    assert!(stretches(&bytes, SALT).contains(&Stretch::Damaged(second..third)));
                } else {
                    assert_eq!(wholes(&bytes), [b"first".as_slice(), b"second"]);
                    assert!(stretches(&bytes, SALT).contains(&Stretch::Torn(third..whole.len())));
                }
            }
        }
    }

    #[test]
    fn a_frame_hidden_in_a_payload_is_not_a_record() {
        // The attacker knows the format but not the salt.
        let forged = segment(&[b"forged"])[HEADER_LEN..].to_vec();
        let mut bytes = Header { seq: 1, salt: 99 }.encode().to_vec();
        let frame = encode_frame(99, bytes.len() as u64, forged.len(), crc32fast::hash(&forged));
        bytes.extend_from_slice(&frame);
        bytes.extend_from_slice(&forged);
        bytes[HEADER_LEN + 5] ^= 1;
        assert_eq!(stretches(&bytes, 99), [Stretch::Torn(HEADER_LEN..bytes.len())]);
    }
}
