//! What an S3 service calls an upload: the MD5 of its bytes, or of the MD5s of its parts.
//!
//! Source: AWS, "Checking object integrity", on entity tags. Services that encrypt with keys of their own, or that are
//! not AWS, may call it anything; then the upload is read back instead.

use md5::{Digest, Md5};

/// Counts along while parts are read.
#[derive(Default)]
pub(super) struct Etag {
    parts: Vec<[u8; 16]>,
}

impl Etag {
    /// Takes in the next part.
    pub(super) fn add(&mut self, part: &[u8]) {
        self.parts.push(Md5::digest(part).into());
    }

    /// The tag of an upload in parts, or of one in one piece, without quotes.
    pub(super) fn finish(&self, is_in_parts: bool) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match (&self.parts[..], is_in_parts) {
            ([only], false) => hex(only),
            (parts, _) => format!("{}-{}", hex(&Md5::digest(parts.concat())), parts.len()),
        }
    }
}

/// Without quotes, as the two are compared.
pub(super) fn bare(etag: &str) -> &str {
    etag.trim_start_matches("W/").trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_those_of_the_service() {
        let mut etag = Etag::default();
        etag.add(b"hello");
        assert_eq!(etag.finish(false), "5d41402abc4b2a76b9719d911017c592");
        etag.add(b"world");
        assert_eq!(etag.finish(true), "065947336a2f2a95ba8899f3675c3be6-2", "of the MD5s that md5sum says");
        assert_eq!(bare("\"abc-2\""), "abc-2");
    }
}
