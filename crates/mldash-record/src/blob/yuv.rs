//! Converts YUV 4:2:2 to RGB by ITU-R BT.601 in video range, like OpenCV and `cv_bridge`.

/// Rows of U Y V Y.
pub(super) fn uyvy_to_rgb(rows: &[u8]) -> Vec<u8> {
    to_rgb(rows, |[u, y0, v, y1]| (y0, y1, u, v))
}

/// Rows of Y U Y V.
pub(super) fn yuyv_to_rgb(rows: &[u8]) -> Vec<u8> {
    to_rgb(rows, |[y0, u, y1, v]| (y0, y1, u, v))
}

fn to_rgb(rows: &[u8], parts: impl Fn([u8; 4]) -> (u8, u8, u8, u8)) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(rows.len() / 4 * 6);
    for pair in rows.as_chunks::<4>().0 {
        let (y0, y1, u, v) = parts(*pair);
        rgb.extend_from_slice(&pixel(y0, u, v));
        rgb.extend_from_slice(&pixel(y1, u, v));
    }
    rgb
}

/// The standard's factors, in units of 2^-20.
const LUMA: i32 = 1_220_542;
const RED_OF_V: i32 = 1_673_527;
const GREEN_OF_V: i32 = -852_492;
const GREEN_OF_U: i32 = -409_993;
const BLUE_OF_U: i32 = 2_116_026;
const SHIFT: u32 = 20;

fn pixel(y: u8, u: u8, v: u8) -> [u8; 3] {
    let luma = (i32::from(y) - 16).max(0) * LUMA;
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    let channel = |color: i32| {
        let rounded = (luma + color + (1 << (SHIFT - 1))) >> SHIFT;
        u8::try_from(rounded.clamp(0, 255)).unwrap_or(u8::MAX)
    };
    [channel(RED_OF_V * v), channel(GREEN_OF_V * v + GREEN_OF_U * u), channel(BLUE_OF_U * u)]
}
