//! Reads strings and wstrings.

use super::{OVERESTIMATE_BYTES, Reader};
use crate::decoder::error::{DecodeProblem, Fault};
use crate::definition::TextKind;

/// The size of a wstring's UTF-16 units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decoder) enum WideUnits {
    /// Four bytes each, without a NUL; the length counts units: Fast DDS, and earlier Cyclone DDS.
    Four,
    /// Two bytes each; the length counts bytes: newer Cyclone DDS.
    Two,
}

/// What was found in wstrings.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::decoder) struct WideRead {
    /// A unit that is not valid in UTF-16.
    pub(in crate::decoder) is_beyond_unicode: bool,
}

impl<'a, const LITTLE: bool> Reader<'a, LITTLE> {
    /// The bytes of a text, as they are.
    pub(super) fn text_bytes(&mut self, kind: TextKind) -> Result<&'a [u8], Box<Fault>> {
        let unit_bytes = match (kind, self.units) {
            (TextKind::Narrow, _) => 1,
            (TextKind::Wide, WideUnits::Four) => {
                self.slack_bytes += OVERESTIMATE_BYTES;
                4
            }
            (TextKind::Wide, WideUnits::Two) => {
                let at = self.cdr.at();
                let length = self.cdr.length(1)?;
                if !length.is_multiple_of(2) {
                    let (needed_bytes, remaining_bytes) = (length + 1, self.cdr.remaining());
                    let problem = DecodeProblem::Length { length, needed_bytes, remaining_bytes };
                    return Err(Fault::new(at, problem));
                }
                let bytes = self.cdr.take(1, length)?;
                let (units, _) = bytes.as_chunks::<2>();
                if units.contains(&[0; 2]) {
                    return Err(Fault::new(at, DecodeProblem::WideZero));
                }
                return Ok(bytes);
            }
        };
        let length = self.cdr.length(unit_bytes)?;
        self.numbers(unit_bytes, length)
    }

    pub(super) fn text(&mut self, kind: TextKind) -> Result<String, Box<Fault>> {
        let bytes = self.text_bytes(kind)?;
        self.claim(1, bytes.len())?;
        Ok(match kind {
            TextKind::Narrow => {
                let text = bytes.strip_suffix(&[0]).unwrap_or(bytes);
                match std::str::from_utf8(text) {
                    Ok(text) => text.to_owned(),
                    Err(_) => {
                        self.repaired_text = true;
                        String::from_utf8_lossy(text).into_owned()
                    }
                }
            }
            TextKind::Wide => self.wide_text(bytes),
        })
    }

    fn wide_text(&mut self, bytes: &[u8]) -> String {
        let units: Vec<u16> = match self.units {
            WideUnits::Two => {
                let (units, _) = bytes.as_chunks::<2>();
                let unit = |unit: &[u8; 2]| {
                    if LITTLE { u16::from_le_bytes(*unit) } else { u16::from_be_bytes(*unit) }
                };
                units.iter().map(unit).collect()
            }
            WideUnits::Four => {
                let (units, _) = bytes.as_chunks::<4>();
                let beyond = &mut self.wide.is_beyond_unicode;
                let unit = |unit: &[u8; 4]| {
                    let unit =
                        if LITTLE { u32::from_le_bytes(*unit) } else { u32::from_be_bytes(*unit) };
                    // Above 16 bits there is no UTF-16. An unpaired surrogate marks the text as
                    // broken.
                    u16::try_from(unit).unwrap_or_else(|_| {
                        *beyond = true;
                        0xD800
                    })
                };
                units.iter().map(unit).collect()
            }
        };
        let repaired = &mut self.repaired_text;
        let chars = char::decode_utf16(units).map(|c| {
            c.unwrap_or_else(|_| {
                *repaired = true;
                char::REPLACEMENT_CHARACTER
            })
        });
        chars.collect()
    }
}
