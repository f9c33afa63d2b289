use super::*;

fn colors(height: u32, width: u32) -> Pixels {
    let shape = Shape { height, width, channels: 3, depth: Depth::Eight };
    let samples = (0..height * width * 3).map(|i| (i * 7 % 256) as u8).collect();
    Pixels { shape, samples: Samples::Eight(samples) }
}

fn depth(height: u32, width: u32) -> Pixels {
    let shape = Shape { height, width, channels: 1, depth: Depth::Sixteen };
    let samples = (0..height * width).map(|i| (i * 251 % 65_536) as u16).collect();
    Pixels { shape, samples: Samples::Sixteen(samples) }
}

#[test]
fn what_was_encoded_as_png_is_decoded_as_it_was() {
    for pixels in [colors(5, 7), depth(5, 7)] {
        let file = encode(&pixels, FileFormat::Png).unwrap();
        assert_eq!(probe(&file).unwrap(), pixels.shape);
        let decoded = decode(&file).unwrap();
        assert!(decoded.is_plain);
        assert_eq!((decoded.format, decoded.pixels), (FileFormat::Png, pixels));
    }
}

#[test]
fn a_jpeg_is_decoded_close_to_what_it_was() {
    let shape = Shape { height: 16, width: 24, channels: 3, depth: Depth::Eight };
    let pixels = Pixels { shape, samples: Samples::Eight([200, 100, 50].repeat(16 * 24)) };
    let file = encode(&pixels, FileFormat::Jpeg).unwrap();
    assert_eq!(probe(&file).unwrap(), shape);
    let decoded = decode(&file).unwrap();
    let Samples::Eight(samples) = decoded.pixels.samples else { panic!() };
    let differs = |(i, sample): (usize, &u8)| sample.abs_diff([200, 100, 50][i % 3]) > 3;
    assert!(!samples.iter().enumerate().any(differs));
    assert!(decoded.is_plain);
}

#[test]
fn alpha_and_palettes_become_colours_and_are_not_handed_on_as_they_are() {
    let encode = |color, palette: Option<Vec<u8>>, data: &[u8]| {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 2, 1);
        encoder.set_color(color);
        if let Some(palette) = palette {
            encoder.set_palette(palette);
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        file
    };
    let alpha = encode(png::ColorType::Rgba, None, &[1, 2, 3, 0, 4, 5, 6, 255]);
    let palette = encode(png::ColorType::Indexed, Some(vec![1, 2, 3, 4, 5, 6]), &[0, 1]);
    for file in [alpha, palette] {
        let decoded = decode(&file).unwrap();
        assert_eq!(decoded.pixels.samples, Samples::Eight(vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(probe(&file).unwrap().channels, 3);
        assert!(!decoded.is_plain);
    }
}

#[test]
fn a_cut_or_unknown_file_is_an_error_and_never_gray() {
    for format in [FileFormat::Jpeg, FileFormat::Png] {
        let file = encode(&colors(64, 64), format).unwrap();
        for end in [3, file.len() / 4, file.len() / 2, file.len() * 3 / 4, file.len() - 20] {
            assert!(decode(&file[..end]).is_err(), "{format:?} cut at {end} of {}", file.len());
        }
    }
    let error = decode(b"\x93NUMPY\x01").unwrap_err().to_string();
    assert!(
        error.starts_with("it is neither JPEG nor PNG (it starts with \"\\\\x93NUMPY"),
        "{error}"
    );
    assert!(decode(b"").is_err());
}

#[test]
fn a_header_that_claims_too_much_allocates_nothing() {
    let mut file = encode(&colors(2, 2), FileFormat::Png).unwrap();
    file[16..24].copy_from_slice(&[0, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0xff]);
    assert!(decode(&file).is_err());
}

#[test]
fn depth_is_resized_without_new_values_and_colours_by_area() {
    let resized_depth = resized(depth(8, 8), (4, 4)).unwrap();
    let (Samples::Sixteen(old), Samples::Sixteen(new)) =
        (depth(8, 8).samples, resized_depth.samples)
    else {
        panic!()
    };
    assert_eq!(new.len(), 16);
    assert!(new.iter().all(|sample| old.contains(sample)));
    let shape = Shape { height: 2, width: 2, channels: 1, depth: Depth::Eight };
    let gray = Pixels { shape, samples: Samples::Eight(vec![0, 100, 100, 200]) };
    let one = resized(gray, (1, 1)).unwrap();
    assert_eq!(one.samples, Samples::Eight(vec![100]));
    assert_eq!(resized(colors(3, 3), (3, 3)).unwrap(), colors(3, 3));
}
