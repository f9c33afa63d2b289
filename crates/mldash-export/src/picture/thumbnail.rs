//! Small pictures for people to look at.

use super::encode::encode_jpeg;
use super::{Depth, PictureError, decode, probe, resized};
use super::{Pixels, Samples, Shape};

/// The longest side, in pixels.
const SIDE: u32 = 256;
const JPEG_QUALITY: u8 = 70;
/// Depths between these parts of all are shown in different grays.
const DEPTHS: (f64, f64) = (0.01, 0.99);

/// A small JPEG of the picture in this file; of depth, near is dark.
///
/// # Errors
/// Fails if the picture can't be decoded, or has more than `max_pixels`.
pub(crate) fn thumbnail(file: &[u8], max_pixels: u64) -> Result<Vec<u8>, PictureError> {
    let Shape { height, width, .. } = probe(file)?;
    let (width, height) = (u64::from(width), u64::from(height));
    if width * height > max_pixels {
        return Err(PictureError::TooLarge { width, height });
    }
    let pixels = decode(file)?.pixels;
    let Shape { height, width, .. } = pixels.shape;
    let longest = height.max(width).max(1);
    let scaled = |side: u32| (u64::from(side) * u64::from(SIDE) / u64::from(longest)).max(1) as u32;
    let size = if longest > SIDE { (scaled(height), scaled(width)) } else { (height, width) };
    let small = in_grays(resized(pixels, size)?);
    match &small.samples {
        Samples::Eight(bytes) => encode_jpeg(small.shape, bytes, JPEG_QUALITY),
        Samples::Sixteen(_) => Err(PictureError::Encode("it has 16 bits".to_owned())),
    }
}

/// Depth as grays that use their whole range. 0 is what depth cameras say where they see nothing.
fn in_grays(pixels: Pixels) -> Pixels {
    let Samples::Sixteen(depths) = &pixels.samples else { return pixels };
    let mut seen: Vec<u16> = depths.iter().copied().filter(|depth| *depth > 0).collect();
    seen.sort_unstable();
    let at = |q: f64| {
        let place = (q * seen.len().saturating_sub(1) as f64) as usize;
        f64::from(seen.get(place).copied().unwrap_or_default())
    };
    let (near, far) = (at(DEPTHS.0), at(DEPTHS.1));
    let gray = |depth: &u16| match *depth {
        0 => 0,
        depth => (32.0 + (f64::from(depth) - near) / (far - near).max(1.0) * 223.0)
            .clamp(32.0, 255.0) as u8,
    };
    let grays = depths.iter().map(gray).collect();
    let shape = Shape { depth: Depth::Eight, ..pixels.shape };
    Pixels { shape, samples: Samples::Eight(grays) }
}

#[cfg(test)]
mod tests {
    use super::super::{FileFormat, MAX_PIXELS, encode};
    use super::*;

    fn png(shape: Shape, samples: Samples) -> Vec<u8> {
        encode(&Pixels { shape, samples }, FileFormat::Png).unwrap()
    }

    #[test]
    fn a_large_picture_becomes_small_and_keeps_its_shape() {
        let shape = Shape { height: 300, width: 1200, channels: 3, depth: Depth::Eight };
        let small =
            thumbnail(&png(shape, Samples::Eight(vec![90; 300 * 1200 * 3])), MAX_PIXELS).unwrap();
        assert_eq!(probe(&small).unwrap(), shape.with_size((64, 256)));
        let pixels = decode(&small).unwrap().pixels;
        let Samples::Eight(bytes) = pixels.samples else { panic!() };
        assert!(bytes.iter().all(|byte| byte.abs_diff(90) < 4));
    }

    #[test]
    fn depth_is_seen_from_near_to_far_and_where_nothing_was_measured_it_is_black() {
        let shape = Shape { height: 1, width: 8, channels: 1, depth: Depth::Sixteen };
        let depths = vec![0, 400, 500, 600, 700, 800, 900, 1000];
        let grays = in_grays(Pixels { shape, samples: Samples::Sixteen(depths.clone()) });
        let Samples::Eight(grays) = grays.samples else { panic!() };
        assert_eq!((grays[0], grays[1]), (0, 32));
        assert!(grays.is_sorted() && grays[7] > 200, "{grays:?}");
        assert!(thumbnail(&png(shape, Samples::Sixteen(depths)), MAX_PIXELS).is_ok());
    }

    #[test]
    fn what_is_no_picture_is_told() {
        assert!(thumbnail(b"npy", MAX_PIXELS).is_err());
    }

    #[test]
    fn what_has_more_pixels_than_may_be_decoded_is_refused_by_its_header() {
        let shape = Shape { height: 10, width: 11, channels: 1, depth: Depth::Eight };
        let file = png(shape, Samples::Eight(vec![7; 110]));
        assert!(thumbnail(&file, 110).is_ok());
        let refused = thumbnail(&file, 109).unwrap_err();
        assert!(matches!(refused, PictureError::TooLarge { width: 11, height: 10 }), "{refused}");
    }
}
