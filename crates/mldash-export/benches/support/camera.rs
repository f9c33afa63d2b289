//! Pictures for benchmarks.

/// A JPEG as a camera makes it: surfaces, edges and noise.
pub fn picture(seed: usize, (height, width): (usize, usize)) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed as u64);
    let mut pixels = Vec::with_capacity(height * width * 3);
    for y in 0..height {
        for x in 0..width {
            let edge = if (x / 40 + y / 40 + seed).is_multiple_of(2) { 40 } else { 0 };
            for shade in [x * 160 / width, y * 160 / height, (x + y) * 80 / width] {
                pixels.push((shade + edge) as u8 + random.u8(..24));
            }
        }
    }
    let mut file = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut file, 80);
    let (width, height) = (u16::try_from(width).unwrap(), u16::try_from(height).unwrap());
    encoder.encode(&pixels, width, height, jpeg_encoder::ColorType::Rgb).unwrap();
    file
}
