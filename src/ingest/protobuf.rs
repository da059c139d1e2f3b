//! Just enough protobuf to walk a message without copying it.
//!
//! In: a buffer and a range of it that holds a message. Out: its fields in order, submessages as ranges of the same
//! buffer, so that every offset in an error counts from the start of the body.
//! Source: protobuf.dev, "Encoding". Groups (wire types 3 and 4) are not part of any message read here.

use std::ops::Range;

use crate::series::Labels;

/// The tag of a label in a list of them: field 1, length-delimited.
pub(super) const LABEL: u8 = 0x0a;

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) reason: &'static str,
    pub(super) offset: usize,
}

/// A field's value as it lies on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    /// Where the bytes of a text or submessage stand.
    Bytes(Range<usize>),
}

/// Walks the fields of one message.
pub(super) struct Fields<'a> {
    // Ends where the message ends, so that nothing inside can reach past it.
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// The fields of the message at `range`, which must lie inside `buffer`.
    pub(super) fn new(buffer: &'a [u8], range: Range<usize>) -> Fields<'a> {
        Fields { bytes: &buffer[..range.end], at: range.start }
    }

    /// Where the next field begins.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// Skips length-delimited fields with this one-byte tag, as long as they follow each other.
    #[inline]
    pub(super) fn skip_run(&mut self, tag: u8) -> Result<(), Malformed> {
        while self.bytes.get(self.at) == Some(&tag) {
            self.at += 1;
            self.length_delimited()?;
        }
        Ok(())
    }

    /// The next field's number and value; `None` at the end of the message.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(u32, Wire)>, Malformed> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let start = self.at;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).unwrap_or(0);
        if number == 0 || number > 0x1fff_ffff {
            return Err(Malformed { reason: "a field number is out of range", offset: start });
        }
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.take::<8>()?)),
            2 => Wire::Bytes(self.length_delimited()?),
            5 => {
                self.take::<4>()?;
                Wire::Fixed32
            }
            _ => return Err(Malformed { reason: "a field has an unknown wire type", offset: start }),
        };
        Ok(Some((number, wire)))
    }

    #[inline]
    fn length_delimited(&mut self) -> Result<Range<usize>, Malformed> {
        let len_at = self.at;
        let len = self.varint()?;
        let left = self.bytes.len() - self.at;
        match usize::try_from(len) {
            Ok(len) if len <= left => {
                let start = self.at;
                self.at += len;
                Ok(start..self.at)
            }
            _ => Err(Malformed { reason: "a length reaches past the end of its message", offset: len_at }),
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        match self.bytes.get(self.at) {
            // One byte is by far the most common length.
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let start = self.at;
        let mut value = 0_u64;
        for (idx, &byte) in self.bytes[start..].iter().enumerate().take(10) {
            // The tenth byte holds the 64th bit and nothing else.
            if idx == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * idx);
            if byte < 0x80 {
                self.at = start + idx + 1;
                return Ok(value);
            }
        }
        let is_cut = self.bytes.len() - start < 10 && self.bytes[start..].iter().all(|byte| byte & 0x80 != 0);
        let reason = if is_cut { "the message ends inside a number" } else { "a number is longer than 64 bits" };
        Err(Malformed { reason, offset: start })
    }

    #[inline]
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let bytes = self.bytes[self.at..]
            .first_chunk::<N>()
            .ok_or(Malformed { reason: "the message ends inside a number", offset: self.at })?;
        self.at += N;
        Ok(*bytes)
    }
}

/// How many bytes `labels` take on the wire when `message` begins with them, written as encoders do: in order, each a
/// field 1 with its name as field 1 and its value as field 2. `None` when it does not, or for a label of 124 bytes and
/// more, whose lengths take several bytes.
#[inline]
pub(super) fn starts_with_labels(message: &[u8], labels: &Labels) -> Option<usize> {
    const NAME: u8 = 0x0a;
    const VALUE: u8 = 0x12;
    let mut left = message;
    for (name, value) in labels.iter_bytes() {
        let (n_name, n_value) = (name.len(), value.len());
        let (label, later) = left.split_at_checked(6 + n_name + n_value)?;
        let head = [LABEL, (4 + n_name + n_value) as u8, NAME, n_name as u8];
        let is_it = 4 + n_name + n_value < 128
            && label[..4] == head
            && label[4..4 + n_name] == *name
            && label[4 + n_name..6 + n_name] == [VALUE, n_value as u8]
            && label[6 + n_name..] == *value;
        if !is_it {
            return None;
        }
        left = later;
    }
    Some(message.len() - left.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(u32, Wire)>, &'static str> {
        let mut fields = Fields::new(bytes, 0..bytes.len());
        let mut all = Vec::new();
        loop {
            match fields.next() {
                Ok(Some(field)) => all.push(field),
                Ok(None) => return Ok(all),
                Err(malformed) => return Err(malformed.reason),
            }
        }
    }

    #[test]
    fn every_wire_type_is_read_or_skipped() {
        let bytes = [0x08, 0x96, 0x01, 0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0x1a, 2, b'h', b'i', 0x25, 0, 0, 0, 0];
        let expected = [(1, Wire::Varint(150)), (2, Wire::Fixed64(1)), (3, Wire::Bytes(14..16)), (4, Wire::Fixed32)];
        assert_eq!(read(&bytes), Ok(expected.to_vec()));
        assert_eq!(read(&[]), Ok(Vec::new()));
    }

    #[test]
    fn the_largest_number_fits_and_a_larger_does_not() {
        let largest = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(read(&largest), Ok(vec![(1, Wire::Varint(u64::MAX))]));
        let mut larger = largest;
        larger[10] = 0x02;
        assert_eq!(read(&larger), Err("a number is longer than 64 bits"));
        assert_eq!(read(&[0x08, 0xff]), Err("the message ends inside a number"));
        assert_eq!(read(&[0x08]), Err("the message ends inside a number"));
    }

    #[test]
    fn damage_is_named() {
        assert_eq!(read(&[0x0a, 5, 1]), Err("a length reaches past the end of its message"));
        assert_eq!(
            read(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
            Err("a length reaches past the end of its message")
        );
        assert_eq!(read(&[0x09, 1, 2]), Err("the message ends inside a number"));
        assert_eq!(read(&[0x0b]), Err("a field has an unknown wire type"));
        assert_eq!(read(&[0x00, 0]), Err("a field number is out of range"));
    }
}
