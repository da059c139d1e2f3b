//! Many byte strings that grow side by side.
//!
//! They lie in chunks of one size, each with a link to the next, and the chunks in slabs. So no string is ever moved to
//! make room, half a chunk of each is unused on average and no more, and all of them are given back together, in pieces
//! large enough for the allocator to return them to the system.

/// Bytes of a chunk: a line of the processor's cache.
const CHUNK: usize = 64;
/// Bytes at its start that say which chunk comes next.
const LINK: usize = 4;
/// Chunks of a slab: 256 KiB, of which the system gives what is touched.
const SLAB: usize = 4_096;

type Chunk = [u8; CHUNK];

/// Where a string begins and where it is to go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByteString {
    first: u32,
    last: u32,
    // Bytes of the last chunk that are taken, its link included.
    n_used: u8,
}

/// The chunks of all strings.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    slabs: Vec<Box<[Chunk]>>,
    n_chunks: u32,
}

impl Chunks {
    /// Bytes of memory they take.
    pub(super) fn n_bytes(&self) -> usize {
        self.n_chunks as usize * CHUNK
    }

    /// A new, empty string.
    pub(super) fn begin(&mut self) -> ByteString {
        let chunk = self.add();
        ByteString { first: chunk, last: chunk, n_used: LINK as u8 }
    }

    /// Appends the first `len` of `bytes` to `string`.
    #[inline]
    pub(super) fn append<const N: usize>(&mut self, string: &mut ByteString, bytes: &[u8; N], len: usize) {
        let start = string.n_used as usize;
        // Copying all of them is faster than copying as many as are asked for; what follows writes over the others.
        match self.chunk_mut(string.last)[start..].first_chunk_mut::<N>() {
            Some(room) => {
                *room = *bytes;
                string.n_used += len as u8;
            }
            None => self.append_across(string, &bytes[..len]),
        }
    }

    #[cold]
    fn append_across(&mut self, string: &mut ByteString, mut bytes: &[u8]) {
        loop {
            let start = string.n_used as usize;
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - start));
            self.chunk_mut(string.last)[start..start + now.len()].copy_from_slice(now);
            string.n_used += now.len() as u8;
            if later.is_empty() {
                return;
            }
            let next = self.add();
            self.chunk_mut(string.last)[..LINK].copy_from_slice(&next.to_le_bytes());
            (string.last, string.n_used) = (next, LINK as u8);
            bytes = later;
        }
    }

    /// Reads `string` from its beginning. Its end is for the reader to know.
    pub(super) fn read(&self, string: &ByteString) -> ChunkReader<'_> {
        self.read_on(Position { chunk: string.first, at: LINK as u32 })
    }

    /// Reads on from where a reader of the same string stood.
    pub(super) fn read_on(&self, position: Position) -> ChunkReader<'_> {
        let Position { chunk: number, at } = position;
        ChunkReader { chunks: self, number, chunk: self.chunk(number), at: at as usize }
    }

    #[cold]
    fn add(&mut self) -> u32 {
        let number = self.n_chunks;
        if (number as usize).is_multiple_of(SLAB) {
            self.slabs.push(vec![[0; CHUNK]; SLAB].into_boxed_slice());
        }
        self.n_chunks = number.checked_add(1).expect("a shard of a memtable is far smaller than 256 GiB");
        number
    }

    fn chunk(&self, number: u32) -> &Chunk {
        &self.slabs[number as usize / SLAB][number as usize % SLAB]
    }

    #[inline]
    fn chunk_mut(&mut self, number: u32) -> &mut Chunk {
        &mut self.slabs[number as usize / SLAB][number as usize % SLAB]
    }
}

/// Where a reader stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    chunk: u32,
    at: u32,
}

/// Walks along a string.
#[derive(Debug)]
pub(super) struct ChunkReader<'a> {
    chunks: &'a Chunks,
    number: u32,
    chunk: &'a Chunk,
    at: usize,
}

impl ChunkReader<'_> {
    pub(super) fn position(&self) -> Position {
        Position { chunk: self.number, at: self.at as u32 }
    }

    /// The next byte.
    #[inline]
    pub(super) fn byte(&mut self) -> u8 {
        if self.at == CHUNK {
            self.follow();
        }
        let byte = self.chunk[self.at];
        self.at += 1;
        byte
    }

    /// The next `n` bytes, of which there are eight at most, as a number, the lowest first.
    #[inline]
    pub(super) fn number(&mut self, n: usize) -> u64 {
        if let Some(eight) = self.chunk[self.at..].first_chunk::<8>() {
            self.at += n;
            let number = u64::from_le_bytes(*eight);
            return if n < 8 { number & ((1 << (8 * n)) - 1) } else { number };
        }
        (0..n).fold(0, |number, idx| number | u64::from(self.byte()) << (8 * idx))
    }

    #[cold]
    fn follow(&mut self) {
        let [a, b, c, d, ..] = *self.chunk;
        self.number = u32::from_le_bytes([a, b, c, d]);
        self.chunk = self.chunks.chunk(self.number);
        self.at = LINK;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn strings_that_grow_in_turn_come_back(
            pieces in prop::collection::vec((0..5_usize, any::<[u8; 19]>(), 0..20_usize), 0..200),
        ) {
            let mut chunks = Chunks::default();
            let mut strings: Vec<ByteString> = (0..5).map(|_| chunks.begin()).collect();
            let mut expected: Vec<Vec<u8>> = vec![Vec::new(); 5];
            for (number, bytes, len) in pieces {
                chunks.append(&mut strings[number], &bytes, len);
                expected[number].extend(&bytes[..len]);
            }
            let mut n_least = 0;
            for (string, bytes) in strings.iter().zip(&expected) {
                let mut reader = chunks.read(string);
                let found: Vec<u8> = bytes.iter().map(|_| reader.byte()).collect();
                prop_assert_eq!(&found, bytes);
                let mut reader = chunks.read(string);
                for part in bytes.chunks(7) {
                    let mut eight = [0; 8];
                    eight[..part.len()].copy_from_slice(part);
                    prop_assert_eq!(reader.number(part.len()), u64::from_le_bytes(eight));
                }
                n_least += bytes.len();
            }
            prop_assert!(chunks.n_bytes() >= n_least && chunks.n_bytes() <= n_least * 64 / 60 + 5 * 64);
        }
    }
}
