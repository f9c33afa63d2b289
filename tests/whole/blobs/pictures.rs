//! `sensor_msgs/msg/Image` in every encoding, and `CompressedImage`.

use std::path::PathBuf;

use mldash_bridge::blob::{Blob, BlobKind, FileFormats};
use mldash_bridge::fields;
use mldash_bridge::track::{Row, Value};
use proptest::prelude::*;
use serde_json::json;

use super::made::{COMPRESSED, IMAGE, Image, compressed, noise};
use crate::made_bag::{Imported, MadeBag};
use crate::opened::{Opened, open};

/// Rows are this much longer than their pixels.
const PADDING: usize = 5;
const HEIGHT: usize = 7;

/// An image of noise, with padded rows.
fn image(encoding: &'static str, pixel_bytes: usize, is_bigendian: bool) -> Image {
    let width = 14;
    let step = width * pixel_bytes + PADDING;
    let data = noise(step * HEIGHT);
    let (width, height, step) = (width as u32, HEIGHT as u32, step as u32);
    Image { encoding, width, height, step, is_bigendian, data }
}

/// The image's pixels without padding.
fn pixels(image: &Image, pixel_bytes: usize) -> Vec<Vec<u8>> {
    let row_bytes = image.width as usize * pixel_bytes;
    let rows = image.data.chunks(image.step as usize).map(|row| &row[..row_bytes]);
    rows.flat_map(|row| row.chunks(pixel_bytes).map(<[u8]>::to_vec)).collect()
}

/// Imports one image a topic; the files in the same order.
fn import(images: &[Image], options: &str) -> (Imported, Vec<PathBuf>) {
    let mut bag = MadeBag::new();
    for (i, image) in images.iter().enumerate() {
        bag.add(&format!("/camera_{i:02}"), IMAGE, 1, &image.cdr(1));
    }
    let mapping = format!("topics:\n  - topic: /camera_*\n    blobs: {options}\n");
    let imported = bag.import(&mapping);
    let file = |i: usize| {
        let rows = imported.rows(&format!("camera_{i:02}"));
        assert_eq!(rows.len(), 1, "{}", imported.done.stderr);
        imported.file(&text(&rows[0], "path"))
    };
    let files = (0..images.len()).map(file).collect();
    (imported, files)
}

fn text(row: &Row, column: &str) -> String {
    match row.fields.get(column) {
        Some(Value::Text(text)) => text.clone(),
        other => panic!("{column}: {other:?} in {row:?}"),
    }
}

/// How an encoding becomes what a reader sees: a type of numbers, how many a pixel has, and a pixel.
type Expected = (&'static str, usize, &'static str, usize, fn(&[u8]) -> Vec<u8>);

fn same(pixel: &[u8]) -> Vec<u8> {
    pixel.to_vec()
}

fn red_first(pixel: &[u8]) -> Vec<u8> {
    let mut pixel = pixel.to_vec();
    pixel.swap(0, 2);
    pixel
}

/// Encoding, bytes of a pixel, numpy's type, channels, the pixel in numpy's memory.
const EXACT: [Expected; 19] = [
    ("mono8", 1, "|u1", 1, same),
    ("8UC1", 1, "|u1", 1, same),
    ("bayer_rggb8", 1, "|u1", 1, same),
    ("bayer_bggr8", 1, "|u1", 1, same),
    ("bayer_gbrg8", 1, "|u1", 1, same),
    ("bayer_grbg8", 1, "|u1", 1, same),
    ("rgb8", 3, "|u1", 3, same),
    ("bgr8", 3, "|u1", 3, red_first),
    ("rgba8", 4, "|u1", 4, same),
    ("bgra8", 4, "|u1", 4, red_first),
    ("mono16", 2, "<u2", 1, same),
    ("16UC1", 2, "<u2", 1, same),
    ("bayer_rggb16", 2, "<u2", 1, same),
    ("bayer_grbg16", 2, "<u2", 1, same),
    ("32FC1", 4, "<f4", 1, same),
    ("64FC1", 8, "<f8", 1, same),
    ("16SC1", 2, "<i2", 1, same),
    ("32SC2", 8, "<i4", 2, same),
    ("8UC3", 3, "|u1", 3, same),
];

#[test]
fn every_exact_encoding_comes_back_as_the_very_numbers_that_were_sent() {
    let images: Vec<Image> =
        EXACT.iter().map(|(name, size, ..)| image(name, *size, false)).collect();
    let (_imported, files) = import(&images, "{image: png}");
    for ((name, size, dtype, channels, pixel), (image, opened)) in
        EXACT.iter().zip(images.iter().zip(open(&files)))
    {
        assert_eq!(opened.facts["dtype"], *dtype, "{name}");
        let shape =
            if *channels == 1 { json!([HEIGHT, 14]) } else { json!([HEIGHT, 14, channels]) };
        assert_eq!(opened.facts["shape"], shape, "{name}");
        let expected: Vec<u8> = pixels(image, *size).iter().flat_map(|p| pixel(p)).collect();
        assert!(opened.data == expected, "{name}");
    }
}

#[test]
fn big_endian_pixels_are_the_same_numbers() {
    let wide = [("mono16", 2), ("16UC1", 2), ("bayer_gbrg16", 2), ("32FC1", 4), ("32SC2", 8)];
    let number_bytes = [2, 2, 2, 4, 4];
    let images: Vec<Image> = wide.iter().map(|(name, size)| image(name, *size, true)).collect();
    let (_imported, files) = import(&images, "file");
    for (((name, size), number_bytes), (image, opened)) in
        wide.iter().zip(number_bytes).zip(images.iter().zip(open(&files)))
    {
        let turned = |pixel: Vec<u8>| -> Vec<u8> {
            pixel.chunks(number_bytes).flat_map(|number| number.iter().rev().copied()).collect()
        };
        let expected: Vec<u8> = pixels(image, *size).into_iter().flat_map(turned).collect();
        assert!(opened.data == expected, "{name}");
    }
}

#[test]
fn floats_keep_nan_and_infinity() {
    let depths = [1.5_f32, f32::NAN, f32::INFINITY, -0.0, f32::from_bits(0x7fc0_0001)];
    let data: Vec<u8> = depths.iter().flat_map(|depth| depth.to_le_bytes()).collect();
    let (width, height, step) = (5, 1, 20);
    let image =
        Image { encoding: "32FC1", width, height, step, is_bigendian: false, data: data.clone() };
    let (imported, files) = import(&[image], "file");
    assert_eq!(open(&files)[0].data, data);
    assert_eq!(text(&imported.rows("camera_00")[0], "encoding"), "32FC1");
}

/// How far two arrays are apart on average.
fn mean_distance(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.len() as f64
}

/// Soft colours of 64x48, padded; `order` says where red, green and blue lie in a pixel of so many bytes.
fn soft(encoding: &'static str, order: [usize; 3], pixel_bytes: usize) -> Image {
    let (width, height) = (64, 48);
    let step = width * pixel_bytes + PADDING;
    let mut data = vec![0; step * height];
    for (y, row) in data.chunks_mut(step).enumerate() {
        for (x, pixel) in row[..width * pixel_bytes].chunks_mut(pixel_bytes).enumerate() {
            pixel.fill(255);
            for (channel, value) in order.into_iter().zip(soft_pixel(x, y)) {
                pixel[channel] = value;
            }
        }
    }
    let (width, height, step) = (width as u32, height as u32, step as u32);
    Image { encoding, width, height, step, is_bigendian: false, data }
}

fn soft_pixel(x: usize, y: usize) -> [u8; 3] {
    [(x * 3) as u8, (y * 4) as u8, 200 - (x + y) as u8]
}

fn soft_rgb() -> Vec<u8> {
    (0..48).flat_map(|y| (0..64).flat_map(move |x| soft_pixel(x, y))).collect()
}

#[test]
fn colours_become_jpeg_whose_red_is_red() {
    let images = [soft("rgb8", [0, 1, 2], 3), soft("bgr8", [2, 1, 0], 3)];
    let (imported, files) = import(&images, "file");
    for opened in open(&files) {
        assert_eq!(
            (&opened.facts["format"], &opened.facts["mode"]),
            (&"JPEG".into(), &"RGB".into())
        );
        let distance = mean_distance(&opened.data, &soft_rgb());
        assert!(distance < 2.0, "{distance}");
    }
    let row = &imported.rows("camera_01")[0];
    assert_eq!(text(row, "frame"), "000000.jpg");
    assert_eq!(text(row, "path"), "camera_01/000000.jpg");
    assert_eq!(text(row, "encoding"), "bgr8");
    let size = std::fs::metadata(&files[1]).unwrap().len();
    assert_eq!(row.fields.get("bytes"), Some(&size.into()));
    for (column, value) in [("index", 0), ("width", 64), ("height", 48)] {
        assert_eq!(row.fields.get(column), Some(&Value::Int(value)), "{column}");
    }
    assert_eq!(row.fields.get("data"), None);
}

#[test]
fn jpeg_may_be_asked_for_and_never_ruins_depth() {
    let mut mono = soft("mono8", [0, 0, 0], 1);
    mono.data.iter_mut().enumerate().for_each(|(i, gray)| *gray = (i % 69) as u8);
    let images = [
        mono,
        soft("rgba8", [0, 1, 2], 4),
        soft("bgra8", [2, 1, 0], 4),
        image("16UC1", 2, false),
        image("bayer_rggb8", 1, false),
    ];
    let (_imported, files) = import(&images, "{image: jpeg, quality: 95}");
    let formats: Vec<String> =
        open(&files).iter().map(|opened| opened.facts["format"].to_string()).collect();
    assert_eq!(formats, ["\"JPEG\"", "\"JPEG\"", "\"JPEG\"", "\"PNG\"", "\"PNG\""]);
    let opened = open(&files[1..3]);
    assert!(opened.iter().all(|opened| mean_distance(&opened.data, &soft_rgb()) < 2.0));
}

#[test]
fn a_higher_quality_is_a_larger_file() {
    let sizes = [10, 50, 99].map(|quality| {
        let (_imported, files) =
            import(&[soft("rgb8", [0, 1, 2], 3)], &format!("{{quality: {quality}}}"));
        std::fs::metadata(&files[0]).unwrap().len()
    });
    assert!(sizes.is_sorted() && sizes[0] < sizes[2], "{sizes:?}");
}

/// BT.601 in video range, by the book.
fn rgb_of([y, u, v]: [u8; 3]) -> Vec<u8> {
    let (y, u, v) = (
        (f64::from(y) - 16.0).max(0.0) * 255.0 / 219.0,
        f64::from(u) - 128.0,
        f64::from(v) - 128.0,
    );
    let rgb = [y + 1.596 * v, y - 0.813 * v - 0.391 * u, y + 2.018 * u];
    rgb.map(|channel| channel.round().clamp(0.0, 255.0) as u8).to_vec()
}

#[test]
fn yuv_pictures_have_the_colours_that_the_standard_gives_them() {
    let images = [image("yuv422", 2, false), image("yuv422_yuy2", 2, false)];
    let (_imported, files) = import(&images, "{image: png}");
    // Where the two luma, and u and v, lie in four bytes.
    for ((image, [y0, y1, u, v]), opened) in
        images.iter().zip([[1, 3, 0, 2], [0, 2, 1, 3]]).zip(open(&files))
    {
        let pairs = Image { width: image.width / 2, ..image.clone() };
        let expected: Vec<u8> = pixels(&pairs, 4)
            .iter()
            .flat_map(|pair| [[pair[y0], pair[u], pair[v]], [pair[y1], pair[u], pair[v]]])
            .flat_map(rgb_of)
            .collect();
        let farthest = opened.data.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(farthest <= Some(2), "{}: {farthest:?}", image.encoding);
    }
    let (_imported, files) = import(&images, "file");
    assert!(open(&files).iter().all(|opened| opened.facts["format"] == "JPEG"));
}

#[test]
fn an_encoding_that_nobody_knows_is_kept_as_its_bytes() {
    let image = Image { encoding: "nv21", step: 14, ..image("mono8", 1, false) };
    let (imported, files) = import(std::slice::from_ref(&image), "file");
    assert_eq!(std::fs::read(&files[0]).unwrap(), image.data);
    assert_eq!(text(&imported.rows("camera_00")[0], "frame"), "000000.bin");
}

#[test]
fn compressed_pictures_stay_as_they_came() {
    let (_imported, files) =
        import(&[soft("rgb8", [0, 1, 2], 3), image("16UC1", 2, false)], "file");
    let (jpeg, png) = (std::fs::read(&files[0]).unwrap(), std::fs::read(&files[1]).unwrap());
    let depth_header: Vec<u8> =
        [0_u32.to_le_bytes(), 10.5_f32.to_le_bytes(), (-2.0_f32).to_le_bytes()].concat();
    let depth = [depth_header, png.clone()].concat();
    let nothing = b"not a picture".to_vec();

    let mut bag = MadeBag::new();
    let pictures = [
        ("jpeg", &jpeg, &jpeg, "000000.jpg", "jpeg"),
        ("rgb8; jpeg compressed bgr8", &jpeg, &jpeg, "000000.jpg", "jpeg"),
        ("png", &png, &png, "000000.png", "png"),
        // What it is counts, not what it is called.
        ("png", &jpeg, &jpeg, "000000.jpg", "jpeg"),
        ("16UC1; compressedDepth png", &depth, &png, "000000.png", "png"),
        ("h264", &nothing, &nothing, "000000.h264", "h264"),
        ("some", &nothing, &nothing, "000000.bin", "some"),
    ];
    for (i, (format, data, ..)) in pictures.iter().enumerate() {
        bag.add(&format!("/camera_{i}"), COMPRESSED, 1, &compressed(1, format, data));
    }
    let imported = bag.import("topics:\n  - topic: /camera_*\n");
    for (i, (format, _, file, frame, encoding)) in pictures.iter().enumerate() {
        let rows = imported.rows(&format!("camera_{i}"));
        assert_eq!(text(&rows[0], "frame"), *frame, "{format}");
        assert_eq!(text(&rows[0], "encoding"), *encoding, "{format}");
        assert_eq!(text(&rows[0], "format"), *format);
        assert!(
            std::fs::read(imported.file(&text(&rows[0], "path"))).unwrap() == **file,
            "{format}"
        );
    }
    let size = |i: usize| {
        let row = &imported.rows(&format!("camera_{i}"))[0];
        (row.fields.get("width").cloned(), row.fields.get("height").cloned())
    };
    assert_eq!(size(0), (Some(64.into()), Some(48.into())));
    assert_eq!(size(4), (Some(14.into()), Some(7.into())));
    assert_eq!(size(5), (None, None));
    let depth_row = &imported.rows("camera_4")[0];
    assert_eq!(depth_row.fields.get("depth_quantization"), Some(&[10.5, -2.0].into()));
}

#[test]
fn what_contradicts_itself_is_dropped_counted_and_said() {
    let good = image("rgb8", 3, false);
    let wrong: [(Image, &str); 6] = [
        (Image { step: 41, ..good.clone() }, "a row of 14 rgb8 pixels is 42 bytes; `step` is 41"),
        (
            Image { data: vec![0; 12], ..good.clone() },
            "7 rows of 47 bytes are 329 bytes; `data` has 12",
        ),
        (Image { height: u32::MAX, width: u32::MAX, ..good.clone() }, "`step` is 47"),
        (Image { width: 0, ..good.clone() }, "an image of 0x7 has no pixels"),
        (Image { data: Vec::new(), ..good.clone() }, "`data` has 0"),
        (Image { encoding: "yuv422", width: 13, ..good.clone() }, "an even `width`, got 13"),
    ];
    let mut bag = MadeBag::new();
    for (i, (image, _)) in wrong.iter().enumerate() {
        bag.add(&format!("/camera_{i}"), IMAGE, 1, &image.cdr(1));
        bag.add(&format!("/camera_{i}"), IMAGE, 2, &good.cdr(2));
    }
    let imported = bag.import("topics:\n  - topic: /camera_*\n");
    for (i, (image, why)) in wrong.iter().enumerate() {
        let topic = imported.topic(&format!("/camera_{i}"));
        assert_eq!(topic["dropped"]["blob_malformed"], 1, "{image:?}");
        assert!(topic["errors"][0].as_str().unwrap().contains(why), "{topic:#}");
        // No number is lost to it.
        assert_eq!(text(&imported.rows(&format!("camera_{i}"))[0], "frame"), "000000.jpg");
    }
}

#[test]
fn pictures_wider_than_a_jpeg_can_be_become_png() {
    let data = vec![7; 70_000 * 3];
    let image = Image {
        encoding: "rgb8",
        width: 70_000,
        height: 1,
        step: 210_000,
        is_bigendian: false,
        data: data.clone(),
    };
    let (_imported, files) = import(&[image], "file");
    let opened: &Opened = &open(&files)[0];
    assert_eq!(opened.facts["format"], "PNG");
    assert!(opened.data == data);
}

#[test]
fn sixteen_bits_of_colour_are_kept_in_the_order_of_png() {
    let images = [
        image("rgb16", 6, false),
        image("bgr16", 6, true),
        image("rgba16", 8, true),
        image("bgra16", 8, false),
    ];
    let (_imported, files) = import(&images, "file");
    for (image, file) in images.iter().zip(&files) {
        // Pillow has no 16-bit colours.
        let file = std::io::BufReader::new(std::fs::File::open(file).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut decoded = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut decoded).unwrap();
        let channels = if image.encoding.contains('a') { 4 } else { 3 };
        let expected = pixels(image, channels * 2).into_iter().flat_map(|pixel| {
            let mut samples: Vec<[u8; 2]> = pixel.chunks(2).map(|s| [s[0], s[1]]).collect();
            if image.encoding.starts_with("bgr") {
                samples.swap(0, 2);
            }
            if !image.is_bigendian {
                samples.iter_mut().for_each(|sample| sample.reverse());
            }
            samples.concat()
        });
        assert!(decoded.into_iter().eq(expected), "{}", image.encoding);
    }
}

proptest! {
    #[test]
    fn no_sizes_make_a_picture_panic(
        encoding in prop::sample::select(vec![
            "mono8", "rgb8", "bgra16", "32FC1", "64FC512", "yuv422", "8UC0", "C", "",
        ]),
        sizes in prop::array::uniform3(prop_oneof![0_u32..40, any::<u32>()]),
        bytes in 0_usize..2000,
        fits in any::<bool>(),
    ) {
        let [width, height, step] = sizes;
        let bytes = if fits { (height as usize % 40) * (step as usize % 40) } else { bytes };
        let about = fields! {
            "width": width, "height": height % 40, "step": step % 40, "encoding": encoding,
            "is_bigendian": 1
        };
        let data = noise(bytes);
        if let Ok(blob) = Blob::new(BlobKind::Image, &about, bytes) {
            blob.encode(&data, &FileFormats::default()).unwrap();
        }
        let anything: &[u8] = &data;
        let about = fields! { "format": "16UC1; compressedDepth png" };
        let blob = Blob::new(BlobKind::CompressedImage, &about, bytes).unwrap();
        prop_assert_eq!(&*blob.encode(anything, &FileFormats::default()).unwrap().bytes, anything);
    }
}
