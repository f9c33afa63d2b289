//! Pictures of another size. Colours and grays are averaged over the area of each new pixel; depth is not, since a mean
//! of near and far is nowhere.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::{PictureError, Pixels, Samples, Shape};

/// The picture with this height and width; unchanged if it has them.
pub(crate) fn resized(pixels: Pixels, size: (u32, u32)) -> Result<Pixels, PictureError> {
    let shape = pixels.shape.with_size(size);
    if shape == pixels.shape {
        return Ok(pixels);
    }
    let samples = match &pixels.samples {
        Samples::Eight(bytes) => Samples::Eight(averaged(bytes, pixels.shape, shape)?),
        Samples::Sixteen(depths) => Samples::Sixteen(nearest(depths, pixels.shape, shape)),
    };
    Ok(Pixels { shape, samples })
}

fn averaged(bytes: &[u8], from: Shape, to: Shape) -> Result<Vec<u8>, PictureError> {
    let wrong = |error: &dyn std::error::Error| PictureError::Resize(error.to_string());
    let pixel = if from.channels == 1 { PixelType::U8 } else { PixelType::U8x3 };
    let source = ImageRef::new(from.width, from.height, bytes, pixel).map_err(|e| wrong(&e))?;
    let mut target = Image::new(to.width, to.height, pixel);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize(&source, &mut target, &options).map_err(|e| wrong(&e))?;
    Ok(target.into_vec())
}

/// For each new pixel the old one at its centre.
fn nearest(samples: &[u16], from: Shape, to: Shape) -> Vec<u16> {
    let at = |place: u32, to: u32, from: u32| {
        let doubled = (2 * u64::from(place) + 1) * u64::from(from);
        (doubled / (2 * u64::from(to))) as usize
    };
    let row = from.width as usize;
    let columns: Vec<usize> = (0..to.width).map(|x| at(x, to.width, from.width)).collect();
    (0..to.height)
        .flat_map(|y| {
            let start = at(y, to.height, from.height) * row;
            columns.iter().map(move |x| samples.get(start + x).copied().unwrap_or_default())
        })
        .collect()
}
