//! Sizes as people write them: `2GiB`, `64 KiB`, `1.5MB`, `1048576`.

use std::fmt;
use std::str::FromStr;

/// Units by name, and their bytes.
const UNITS: [(&str, u64); 10] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// A number of bytes.
///
/// ```
/// use mldash_record::mapping::Bytes;
/// let size: Bytes = "1.5 GiB".parse()?;
/// assert_eq!(size.get(), 3 << 29);
/// assert_eq!(size.to_string(), "1.5 GiB");
/// # Ok::<(), mldash_record::mapping::BytesError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Bytes(u64);

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size such as `2GiB`, `64KiB`, `500MB` or a number of bytes")]
pub struct BytesError(pub String);

impl Bytes {
    /// This many bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for Bytes {
    type Err = BytesError;

    fn from_str(text: &str) -> Result<Self, BytesError> {
        let wrong = || BytesError(text.to_owned());
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = (&text[..end], text[end..].trim_start());
        let unit_bytes = match unit {
            "" => 1,
            _ => UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1,
        };
        let whole = number.parse::<u64>().ok().and_then(|whole| whole.checked_mul(unit_bytes));
        let bytes = whole.or_else(|| {
            let bytes = number.parse::<f64>().ok()? * unit_bytes as f64;
            // Beyond this, a float does not distinguish neighbours. No disk is that large.
            (number.contains('.') && bytes < (1_u64 << 53) as f64).then_some(bytes as u64)
        });
        bytes.map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Bytes {
    /// In the largest binary unit, rounded down to a tenth.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().rev().find(|(name, bytes)| name.contains('i') && self.0 >= *bytes);
        let Some((name, unit_bytes)) = unit else { return write!(f, "{} B", self.0) };
        let tenths = u128::from(self.0) * 10 / u128::from(*unit_bytes);
        match (tenths / 10, tenths % 10) {
            (whole, 0) => write!(f, "{whole} {name}"),
            (whole, tenth) => write!(f, "{whole}.{tenth} {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units_and_shown_in_the_largest() {
        for (text, bytes, shown) in [
            ("0", 0, "0 B"),
            ("1048576", 1 << 20, "1 MiB"),
            ("2GiB", 2 << 30, "2 GiB"),
            ("500MB", 500_000_000, "476.8 MiB"),
            ("1.5 kB", 1_500, "1.4 KiB"),
            ("0.5TiB", 1 << 39, "512 GiB"),
        ] {
            let size: Bytes = text.parse().unwrap();
            assert_eq!((size.get(), size.to_string().as_str()), (bytes, shown), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_named() {
        for text in ["", "GiB", "-1", "2G", "2 gib", "1.2.3MB", "1e3", "99999999999TiB", "2GiB x"] {
            assert_eq!(text.parse::<Bytes>(), Err(BytesError(text.to_owned())));
        }
    }
}
