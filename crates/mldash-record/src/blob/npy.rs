//! The header of numpy's file format
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

pub(super) const EXTENSION: &str = "npy";

pub(super) const MAGIC: &[u8] = b"\x93NUMPY";
/// The data starts at a multiple of this.
const ALIGN: usize = 64;

/// Everything before an array's numbers. `descr` is a Python literal in ASCII.
pub(super) fn header(descr: &str, shape: &[usize]) -> Vec<u8> {
    // A single axis needs the comma that makes it a tuple.
    let shape: String = shape.iter().map(|axis| format!("{axis}, ")).collect();
    let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': ({shape}), }}");
    // Version 1 has 16 bits for the text's length, version 2 has 32.
    let before = MAGIC.len() + 2 + size_of::<u16>();
    let end = (before + text.len() + 1).next_multiple_of(ALIGN);
    let (version, before, end, length) = match u16::try_from(end - before) {
        Ok(length) => (1, before, end, length.to_le_bytes().to_vec()),
        Err(_) => {
            let before = before - size_of::<u16>() + size_of::<u32>();
            let end = (before + text.len() + 1).next_multiple_of(ALIGN);
            let length = u32::try_from(end - before).unwrap_or(u32::MAX);
            (2, before, end, length.to_le_bytes().to_vec())
        }
    };
    let padding = " ".repeat(end - before - text.len() - 1);
    [MAGIC, &[version, 0], &length, text.as_bytes(), padding.as_bytes(), b"\n"].concat()
}

/// The name of a number's type with its byte order. A single byte has none.
pub(super) fn number(of: &str, is_bigendian: bool) -> String {
    let order = match (of.ends_with('1'), is_bigendian) {
        (true, _) => '|',
        (false, false) => '<',
        (false, true) => '>',
    };
    format!("{order}{of}")
}
