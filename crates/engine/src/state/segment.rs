//! A segment: entries in order of part and key, in blocks with a checksum each.
//!
//! ```text
//! file   = magic block* end
//! block  = length u32 > 0, xxh3 u64 of the payload, payload
//! end    = 0 u32, xxh3 u64 of all blocks' checksums, entries u64
//! entry  = part u16, key length u32, value length u32 (all ones: the key is gone), key, value
//! ```
//! Numbers are little-endian.

use super::StateError;
use super::changes::Entry;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

const MAGIC: &[u8; 8] = b"weirseg\x01";
/// A block is closed when it is this long.
const BLOCK_BYTES: usize = 64 * 1024;
/// A file's buffer: many are merged at once.
const BUFFER_BYTES: usize = 2 * BLOCK_BYTES;
/// A block holds at least one entry, and the longest row is far smaller than this.
const BLOCK_BYTES_MAX: usize = 1 << 30;
const GONE: u32 = u32::MAX;

/// What a written segment is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) bytes: u64,
    pub(super) entries: u64,
    pub(super) digest: u64,
}

/// Writes a segment; nothing is valid before [`Writer::finish`].
pub(super) struct Writer {
    path: PathBuf,
    out: BufWriter<File>,
    block: Vec<u8>,
    digest: Xxh3,
    sum: Sum,
}

impl Writer {
    pub(super) fn create(path: &Path) -> Result<Self, StateError> {
        let file = File::create(path).map_err(StateError::io(path))?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
        out.write_all(MAGIC).map_err(StateError::io(path))?;
        let bytes = MAGIC.len() as u64;
        Ok(Self {
            path: path.to_owned(),
            out,
            block: Vec::new(),
            digest: Xxh3::new(),
            sum: Sum {
                bytes,
                entries: 0,
                digest: 0,
            },
        })
    }

    /// Adds an entry, greater than the one before.
    pub(super) fn push(&mut self, (part, key, value): Entry<'_>) -> Result<(), StateError> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("a row is less than 4 GiB");
        self.block.extend_from_slice(&part.to_le_bytes());
        self.block.extend_from_slice(&length(key).to_le_bytes());
        self.block
            .extend_from_slice(&value.map_or(GONE, length).to_le_bytes());
        self.block.extend_from_slice(key);
        self.block.extend_from_slice(value.unwrap_or_default());
        self.sum.entries += 1;
        if self.block.len() >= BLOCK_BYTES {
            self.close_block()?;
        }
        Ok(())
    }

    fn close_block(&mut self) -> Result<(), StateError> {
        let checksum = xxh3_64(&self.block).to_le_bytes();
        let length = u32::try_from(self.block.len()).expect("blocks are bounded");
        self.digest.update(&checksum);
        let mut write = || {
            self.out.write_all(&length.to_le_bytes())?;
            self.out.write_all(&checksum)?;
            self.out.write_all(&self.block)
        };
        write().map_err(StateError::io(&self.path))?;
        self.sum.bytes += 12 + u64::from(length);
        self.block.clear();
        Ok(())
    }

    /// Ends the file and sees that it is on the disk.
    pub(super) fn finish(mut self) -> Result<Sum, StateError> {
        if !self.block.is_empty() {
            self.close_block()?;
        }
        self.sum.digest = self.digest.digest();
        self.sum.bytes += 20;
        let mut write = || {
            self.out.write_all(&0_u32.to_le_bytes())?;
            self.out.write_all(&self.sum.digest.to_le_bytes())?;
            self.out.write_all(&self.sum.entries.to_le_bytes())?;
            self.out.flush()?;
            self.out.get_ref().sync_all()
        };
        write().map_err(StateError::io(&self.path))?;
        Ok(self.sum)
    }
}

/// Reads a segment, block by block, each checked before any of it is given.
pub(super) struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    block: Vec<u8>,
    at: usize,
    digest: Xxh3,
    sum: Sum,
    /// The end was read and is right.
    ended: bool,
    /// Where the present entry's key and value are in the block.
    now: Option<(u16, usize, usize, Option<usize>)>,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, StateError> {
        let file = File::open(path).map_err(StateError::io(path))?;
        let mut this = Self {
            path: path.to_owned(),
            file: BufReader::with_capacity(BUFFER_BYTES, file),
            block: Vec::new(),
            at: 0,
            digest: Xxh3::new(),
            sum: Sum {
                bytes: MAGIC.len() as u64,
                entries: 0,
                digest: 0,
            },
            ended: false,
            now: None,
        };
        let mut magic = [0; MAGIC.len()];
        this.read(&mut magic)?;
        if &magic != MAGIC {
            return Err(this.damaged("it does not begin as a segment does"));
        }
        Ok(this)
    }

    /// The whole file, checked, and what it is known by.
    pub(super) fn check(path: &Path) -> Result<Sum, StateError> {
        let mut reader = Self::open(path)?;
        while reader.advance()? {}
        Ok(reader.sum)
    }

    /// Goes to the next entry; false at the end.
    pub(super) fn advance(&mut self) -> Result<bool, StateError> {
        self.now = None;
        if self.at == self.block.len() && !self.next_block()? {
            return Ok(false);
        }
        let rest = &self.block[self.at..];
        let Some((head, body)) = rest.split_first_chunk::<10>() else {
            return Err(self.damaged("an entry is cut off"));
        };
        let number =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (part, key, value) = (u16::from_le_bytes([head[0], head[1]]), number(2), number(6));
        let value = (value != GONE).then_some(value as usize);
        let size = (key as usize).checked_add(value.unwrap_or(0));
        let Some(size) = size.filter(|size| *size <= body.len()) else {
            return Err(self.damaged("an entry is cut off"));
        };
        let begin = self.at + head.len();
        self.now = Some((part, begin, begin + key as usize, value));
        self.at = begin + size;
        self.sum.entries += 1;
        Ok(true)
    }

    /// The present entry, after [`Reader::advance`] said that there is one.
    pub(super) fn entry(&self) -> Option<Entry<'_>> {
        let (part, key, value, length) = self.now?;
        let value_bytes = length.map(|length| &self.block[value..value + length]);
        Some((part, &self.block[key..value], value_bytes))
    }

    fn next_block(&mut self) -> Result<bool, StateError> {
        if self.ended {
            return Ok(false);
        }
        let (mut length, mut checksum) = ([0; 4], [0; 8]);
        self.read(&mut length)?;
        self.read(&mut checksum)?;
        let length = u32::from_le_bytes(length) as usize;
        if length == 0 {
            return self.end(u64::from_le_bytes(checksum)).map(|()| false);
        }
        if length > BLOCK_BYTES_MAX {
            return Err(self.damaged("a block's length is out of bounds"));
        }
        self.block.clear();
        let taken = (&mut self.file).take(length as u64);
        let read = { taken }.read_to_end(&mut self.block);
        if read.map_err(StateError::io(&self.path))? != length {
            return Err(self.damaged("it is cut off"));
        }
        if xxh3_64(&self.block).to_le_bytes() != checksum {
            return Err(self.damaged("a block's checksum is wrong"));
        }
        self.digest.update(&checksum);
        self.sum.bytes += 12 + length as u64;
        self.at = 0;
        Ok(true)
    }

    fn end(&mut self, digest: u64) -> Result<(), StateError> {
        let mut entries = [0; 8];
        self.read(&mut entries)?;
        self.sum.bytes += 20;
        self.sum.digest = self.digest.digest();
        if digest != self.sum.digest || u64::from_le_bytes(entries) != self.sum.entries {
            return Err(self.damaged("its checksum is wrong"));
        }
        self.ended = true;
        let mut more = [0];
        match self.file.read(&mut more) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.damaged("there is more after its end")),
            Err(error) => Err(StateError::io(&self.path)(error)),
        }
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), StateError> {
        self.file
            .read_exact(into)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => {
                    StateError::damaged(&self.path, "it is cut off")
                }
                _ => StateError::io(&self.path)(error),
            })
    }

    fn damaged(&self, what: &str) -> StateError {
        StateError::damaged(&self.path, what)
    }
}
