//! A position in CDR bytes (XCDR1): alignment, lengths, numbers. Knows no message types.

use super::super::definition::Primitive;
use super::super::path::Slice;
use super::error::{DecodeProblem, Fault};
use mldash_track::{Array, Value};

/// The bytes after the encapsulation header, and how far they are read.
#[derive(Clone, Copy)]
pub(super) struct Cdr<'a, const LITTLE: bool> {
    body: &'a [u8],
    at: usize,
}

impl<'a, const LITTLE: bool> Cdr<'a, LITTLE> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn seek(&mut self, at: usize) {
        self.at = at;
    }

    /// The unread bytes.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    pub(super) fn remaining(&self) -> usize {
        self.body.len().saturating_sub(self.at)
    }

    /// The next `bytes` bytes from a multiple of `align` (a power of two).
    #[inline]
    pub(super) fn take(&mut self, align: usize, bytes: usize) -> Result<&'a [u8], Box<Fault>> {
        let start = (self.at + (align - 1)) & !(align - 1);
        let end = start.saturating_add(bytes);
        match self.body.get(start..end) {
            Some(taken) => {
                self.at = end;
                Ok(taken)
            }
            None => Err(self.truncated(start, bytes)),
        }
    }

    #[cold]
    fn truncated(&self, start: usize, needed_bytes: usize) -> Box<Fault> {
        let remaining_bytes = self.body.len().saturating_sub(start);
        Fault::new(
            start.min(self.body.len()),
            DecodeProblem::Truncated { needed_bytes, remaining_bytes },
        )
    }

    /// A number of elements of at least `min_bytes` each. Checks that the remaining bytes can hold
    /// them.
    #[inline]
    pub(super) fn length(&mut self, min_bytes: usize) -> Result<usize, Box<Fault>> {
        let mut raw = [0; 4];
        raw.copy_from_slice(self.take(4, 4)?);
        let length = if LITTLE { u32::from_le_bytes(raw) } else { u32::from_be_bytes(raw) };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.check_length(length, min_bytes).map(|()| length)
    }

    #[inline]
    pub(super) fn check_length(&self, length: usize, min_bytes: usize) -> Result<(), Box<Fault>> {
        let needed_bytes = length.saturating_mul(min_bytes);
        let remaining_bytes = self.remaining();
        if needed_bytes <= remaining_bytes {
            return Ok(());
        }
        Err(Fault::new(self.at, DecodeProblem::Length { length, needed_bytes, remaining_bytes }))
    }
}

/// One number.
#[inline]
pub(super) fn scalar<const LITTLE: bool>(
    primitive: Primitive,
    bytes: &[u8],
) -> Result<Value, DecodeProblem> {
    pick::<LITTLE>(primitive, bytes, Some(Slice::Index(0)))
}

/// The numbers in `bytes`, or those of a slice: an array, one number for an index, null for an
/// index that is out of range.
#[inline]
pub(super) fn pick<const LITTLE: bool>(
    primitive: Primitive,
    bytes: &[u8],
    slice: Option<Slice>,
) -> Result<Value, DecodeProblem> {
    macro_rules! numbers {
        ($t:ty) => {{
            let (chunks, _) = bytes.as_chunks::<{ size_of::<$t>() }>();
            take(chunks, slice, |c| {
                if LITTLE { <$t>::from_le_bytes(*c) } else { <$t>::from_be_bytes(*c) }
            })
        }};
    }
    Ok(match primitive {
        Primitive::Bool => {
            if let Some(found) = bytes.iter().copied().find(|b| *b > 1) {
                return Err(DecodeProblem::Bool { found });
            }
            take(bytes, slice, |b| *b != 0)
        }
        Primitive::U8 if slice.is_none() => Value::Array(Array::U8(bytes.to_vec())),
        Primitive::I8 => numbers!(i8),
        Primitive::U8 => numbers!(u8),
        Primitive::I16 => numbers!(i16),
        Primitive::U16 => numbers!(u16),
        Primitive::I32 => numbers!(i32),
        Primitive::U32 => numbers!(u32),
        Primitive::I64 => numbers!(i64),
        Primitive::U64 => numbers!(u64),
        Primitive::F32 => numbers!(f32),
        Primitive::F64 => numbers!(f64),
    })
}

#[inline]
fn take<C, T>(chunks: &[C], slice: Option<Slice>, number: impl Fn(&C) -> T) -> Value
where
    Value: From<T> + From<Vec<T>>,
{
    match slice {
        None => chunks.iter().map(number).collect::<Vec<T>>().into(),
        Some(Slice::Index(i)) => match Slice::Index(i).indices(chunks.len()).next() {
            Some(i) => number(&chunks[i]).into(),
            None => Value::Null,
        },
        Some(range) => {
            range.indices(chunks.len()).map(|i| number(&chunks[i])).collect::<Vec<T>>().into()
        }
    }
}
