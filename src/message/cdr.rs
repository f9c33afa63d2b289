//! Reading CDR, as ROS 2 puts it on the wire: a 4-byte encapsulation header, then XCDR1 in either byte
//! order, aligned from the byte after the header. Source: OMG DDS-XTypes 1.3, 7.4.1 (PLAIN_CDR).

use super::definition::Primitive;
use super::error::{DecodeError, Trouble};
use crate::track::Array;

/// Bytes of the encapsulation header.
pub(super) const HEADER_BYTES: usize = 4;

/// A place in a message's bytes. Offsets in errors count from the message's first byte.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big_endian: bool,
}

/// Runs `$body` with `$T` as the Rust type of a primitive that is more than one byte or a number.
macro_rules! with_number {
    ($primitive:expr, $T:ident, $Variant:ident => $body:expr, bool => $bool:expr) => {
        match $primitive {
            Primitive::Bool => $bool,
            Primitive::I8 => with_number!(@ $T, $Variant, i8, I8 => $body),
            Primitive::U8 => with_number!(@ $T, $Variant, u8, U8 => $body),
            Primitive::I16 => with_number!(@ $T, $Variant, i16, I16 => $body),
            Primitive::U16 => with_number!(@ $T, $Variant, u16, U16 => $body),
            Primitive::I32 => with_number!(@ $T, $Variant, i32, I32 => $body),
            Primitive::U32 => with_number!(@ $T, $Variant, u32, U32 => $body),
            Primitive::I64 => with_number!(@ $T, $Variant, i64, I64 => $body),
            Primitive::U64 => with_number!(@ $T, $Variant, u64, U64 => $body),
            Primitive::F32 => with_number!(@ $T, $Variant, f32, F32 => $body),
            Primitive::F64 => with_number!(@ $T, $Variant, f64, F64 => $body),
        }
    };
    (@ $T:ident, $Variant:ident, $type:ty, $variant:ident => $body:expr) => {{
        type $T = $type;
        use Array::$variant as $Variant;
        $body
    }};
}

impl<'a> Reader<'a> {
    /// At the first byte after the encapsulation header.
    pub(super) fn new(cdr: &'a [u8]) -> Result<Self, DecodeError> {
        let Some(header) = cdr.first_chunk::<HEADER_BYTES>() else {
            let trouble = Trouble::Truncated { needed: HEADER_BYTES, remaining: cdr.len() };
            return Err(DecodeError::new(0, trouble));
        };
        let big_endian = match [header[0], header[1]] {
            [0, 0] => true,
            [0, 1] => false,
            other => return Err(DecodeError::new(0, Trouble::Encapsulation(other))),
        };
        Ok(Self { bytes: &cdr[HEADER_BYTES..], at: 0, big_endian })
    }

    /// Bytes that are left.
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Makes an error of what is wrong here.
    pub(super) fn error(&self, trouble: Trouble) -> DecodeError {
        DecodeError::new(self.at + HEADER_BYTES, trouble)
    }

    fn align(&mut self, size: usize) -> Result<(), DecodeError> {
        let padding = self.at.wrapping_neg() & (size - 1);
        self.take(padding).map(drop)
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            let trouble = Trouble::Truncated { needed: len, remaining: self.remaining() };
            return Err(self.error(trouble));
        };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn word<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.align(N)?;
        let mut word = [0; N];
        word.copy_from_slice(self.take(N)?);
        if self.big_endian {
            word.reverse();
        }
        Ok(word)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.word()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.word()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.word()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.word()?))
    }

    /// A sequence's length, which its elements of at least `min_bytes` must have room for.
    pub(super) fn length(&mut self, min_bytes: usize) -> Result<usize, DecodeError> {
        let before = self.clone();
        let length = self.u32()? as usize;
        if length > self.remaining() / min_bytes {
            let trouble = Trouble::Length { length, remaining: self.remaining() };
            return Err(before.error(trouble));
        }
        Ok(length)
    }

    /// A string's bytes without the NUL that ends it on the wire.
    pub(super) fn text(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.length(1)?;
        let bytes = self.take(length)?;
        Ok(bytes.strip_suffix(&[0]).unwrap_or(bytes))
    }

    /// A wide string. Fast CDR writes its characters as 4 bytes each, without an end.
    pub(super) fn wide_text(&mut self) -> Result<Vec<u32>, DecodeError> {
        let length = self.length(4)?;
        (0..length).map(|_| self.u32()).collect()
    }

    /// Steps over `count` primitives.
    pub(super) fn skip(&mut self, of: Primitive, count: usize) -> Result<(), DecodeError> {
        if count == 0 {
            return Ok(());
        }
        self.align(of.size_bytes())?;
        self.take(of.size_bytes().saturating_mul(count)).map(drop)
    }

    /// `count` primitives at once.
    pub(super) fn array(&mut self, of: Primitive, count: usize) -> Result<Array, DecodeError> {
        let bytes = self.array_bytes(of, count)?;
        let big_endian = self.big_endian;
        Ok(with_number!(of, T, Variant => {
            let words = bytes.as_chunks::<{ size_of::<T>() }>().0.iter();
            if big_endian {
                Variant(words.map(|word| T::from_be_bytes(*word)).collect())
            } else {
                Variant(words.map(|word| T::from_le_bytes(*word)).collect())
            }
        }, bool => Array::Bool(bytes.iter().map(|byte| *byte != 0).collect())))
    }

    /// Those of `count` primitives that `indices`, each below `count`, picks.
    pub(super) fn picked(
        &mut self,
        of: Primitive,
        count: usize,
        indices: impl Iterator<Item = usize>,
    ) -> Result<Array, DecodeError> {
        let bytes = self.array_bytes(of, count)?;
        let big_endian = self.big_endian;
        Ok(with_number!(of, T, Variant => {
            let words = bytes.as_chunks::<{ size_of::<T>() }>().0;
            let read = |word: &[u8; size_of::<T>()]| {
                if big_endian { T::from_be_bytes(*word) } else { T::from_le_bytes(*word) }
            };
            Variant(indices.filter_map(|i| words.get(i)).map(read).collect())
        }, bool => Array::Bool(indices.filter_map(|i| bytes.get(i)).map(|b| *b != 0).collect())))
    }

    fn array_bytes(&mut self, of: Primitive, count: usize) -> Result<&'a [u8], DecodeError> {
        if count == 0 {
            // Fast CDR does not align for elements that are not there.
            return Ok(&[]);
        }
        self.align(of.size_bytes())?;
        self.take(of.size_bytes().saturating_mul(count))
    }
}
