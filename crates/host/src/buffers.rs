//! The buffers of a batch as they cross: the engine's many into one of the plugin's, the plugin's many into one of the
//! engine's. Each is a `list<list<u8>>`, written and read here by hand, as a list each would be an allocation each: by
//! what wasmtime shows to the code that its own derive macros write, so a new version of it is looked at here first.

use crate::abi::Span;
use arrow::buffer::{Buffer, MutableBuffer};
use std::mem::MaybeUninit;
use wasmtime::ValRaw;
use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, LowerContext,
};
use wasmtime::component::{ComponentType, Lift, Lower};

/// Spans begin at multiples of this in the buffer that the host sends.
const ALIGNED: usize = 16;
/// Likewise in the one that an answer's buffers are gathered in: Arrow's own.
const GATHERED: usize = 64;
/// Pointer and length, of a list in the plugin's memory.
const PAIR: usize = 8;

/// Buffers to send, one behind the other in one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed<'a>(pub(crate) &'a [Buffer]);

/// Where the next buffer begins behind this one.
pub(crate) fn behind(at: usize, len: usize) -> usize {
    (at + len).next_multiple_of(ALIGNED)
}

impl Packed<'_> {
    fn len(self) -> usize {
        self.0.iter().fold(0, |at, piece| behind(at, piece.len()))
    }

    fn fill(self, mut to: &mut [u8]) {
        for piece in self.0 {
            let (own, rest) = to.split_at_mut(behind(0, piece.len()));
            let (bytes, padding) = own.split_at_mut(piece.len());
            bytes.copy_from_slice(piece);
            // What stood there before is not to be seen.
            padding.fill(0);
            to = rest;
        }
    }

    /// The one buffer.
    #[cfg(test)]
    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![1; self.len()];
        self.fill(&mut bytes);
        bytes
    }

    /// Writes the buffers to the plugin's memory; where the list of one list is.
    fn write<T>(self, cx: &mut LowerContext<'_, T>) -> wasmtime::Result<usize> {
        let total = self.len();
        let bytes = cx.realloc(0, 0, 1, total)?;
        let list = cx.realloc(0, 0, 4, PAIR)?;
        let memory = cx.as_slice_mut();
        self.fill(&mut memory[bytes..bytes + total]);
        memory[list..list + PAIR].copy_from_slice(&pair_to([bytes, total])?);
        Ok(list)
    }
}

type Lists = Vec<Vec<u8>>;

// SAFETY: it is lowered as any list is, to a pointer and a length.
#[expect(unsafe_code, reason = "as the trait says")]
unsafe impl ComponentType for Packed<'_> {
    type Lower = <Lists as ComponentType>::Lower;
    const ABI: CanonicalAbiInfo = Lists::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
        Lists::typecheck(ty, types)
    }
}

// SAFETY: both ways write the pointer and the length of a list of lists that stands in the plugin's memory.
#[expect(unsafe_code, reason = "as the trait says")]
unsafe impl Lower for Packed<'_> {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        _ty: InterfaceType,
        to: &mut MaybeUninit<Self::Lower>,
    ) -> wasmtime::Result<()> {
        let list = self.write(cx)?;
        to.write([ValRaw::i64(i64::try_from(list)?), ValRaw::i64(1)]);
        Ok(())
    }

    fn linear_lower_to_memory<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        _ty: InterfaceType,
        offset: usize,
    ) -> wasmtime::Result<()> {
        let list = self.write(cx)?;
        *cx.get(offset) = pair_to([list, 1])?;
        Ok(())
    }
}

/// An answer's buffers, copied into one.
#[derive(Debug)]
pub(crate) struct Gathered {
    bytes: Buffer,
    /// Where each begins, and how long it is.
    of: Vec<(usize, usize)>,
}

impl Gathered {
    /// Copies these buffers.
    pub(crate) fn new<'b>(buffers: impl Iterator<Item = &'b [u8]> + Clone) -> Self {
        let total = buffers.clone().fold(0, |all, one| all + room(one.len()));
        let mut bytes = MutableBuffer::with_capacity(total);
        let copied = |one: &[u8]| {
            bytes.resize(bytes.len().next_multiple_of(GATHERED), 0);
            let at = bytes.len();
            bytes.extend_from_slice(one);
            (at, one.len())
        };
        Self {
            of: buffers.map(copied).collect(),
            bytes: bytes.into(),
        }
    }

    /// The bytes of a span, which need not be there.
    pub(crate) fn span(&self, span: Span) -> Result<Buffer, String> {
        let Span { of, at, len } = span;
        let buffer = self.of.get(of as usize).copied();
        let within = buffer.filter(|(_, all)| u64::from(at) + u64::from(len) <= *all as u64);
        let Some((begin, _)) = within else {
            return Err(format!("no buffer {of} has bytes {at} and the next {len}"));
        };
        Ok(self
            .bytes
            .slice_with_length(begin + at as usize, len as usize))
    }

    fn read(cx: &mut LiftContext<'_>, list: u32, len: u32) -> wasmtime::Result<Self> {
        let memory = cx.memory();
        let outside = || wasmtime::Error::msg("a buffer is not in the memory");
        let list = slice(memory, list, u64::from(len) * PAIR as u64).ok_or_else(outside)?;
        let (pairs, _) = list.as_chunks::<PAIR>();
        let buffers = pairs.iter().map(|pair| {
            let [at, len] = pair_of(*pair);
            slice(memory, at, u64::from(len))
        });
        let mut needed = 0;
        for buffer in buffers.clone() {
            needed += room(buffer.ok_or_else(outside)?.len());
        }
        // Each could name the same bytes.
        cx.consume_fuel(needed)?;
        Ok(Self::new(buffers.flatten()))
    }
}

/// What a buffer takes, with where it stands.
fn room(len: usize) -> usize {
    len.next_multiple_of(GATHERED) + size_of::<(usize, usize)>()
}

/// A pointer and a length as they stand in the memory.
fn pair_to(pair: [usize; 2]) -> wasmtime::Result<[u8; PAIR]> {
    let [at, len] = pair.map(u32::try_from);
    let pair = u64::from(at?) | u64::from(len?) << 32;
    Ok(pair.to_le_bytes())
}

fn pair_of(bytes: [u8; PAIR]) -> [u32; 2] {
    let (words, _) = bytes.as_chunks();
    [words[0], words[1]].map(u32::from_le_bytes)
}

fn slice(memory: &[u8], at: u32, len: u64) -> Option<&[u8]> {
    memory.get(at as usize..)?.get(..usize::try_from(len).ok()?)
}

// SAFETY: it is lifted as any list is, from a pointer and a length.
#[expect(unsafe_code, reason = "as the trait says")]
unsafe impl ComponentType for Gathered {
    type Lower = <Lists as ComponentType>::Lower;
    const ABI: CanonicalAbiInfo = Lists::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
        Lists::typecheck(ty, types)
    }
}

// SAFETY: both ways read the pointer and the length of a list, and believe neither.
#[expect(unsafe_code, reason = "as the trait says")]
unsafe impl Lift for Gathered {
    fn linear_lift_from_flat(
        cx: &mut LiftContext<'_>,
        _ty: InterfaceType,
        from: &Self::Lower,
    ) -> wasmtime::Result<Self> {
        Self::read(cx, from[0].get_u32(), from[1].get_u32())
    }

    fn linear_lift_from_memory(
        cx: &mut LiftContext<'_>,
        _ty: InterfaceType,
        from: &[u8],
    ) -> wasmtime::Result<Self> {
        let [list, len] = pair_of(*from.as_array().expect("a pointer and a length"));
        Self::read(cx, list, len)
    }
}
