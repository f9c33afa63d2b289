//! Pictures in files: what they are, their pixels, and another size if asked. A picture that needs no change keeps its
//! bytes. Pure; knows no recording and no dataset.

mod decode;
mod encode;
mod resize;
mod thumbnail;

use std::fmt;

pub(crate) use decode::{decode, probe};
pub(crate) use encode::encode;
pub(crate) use resize::resized;
pub(crate) use thumbnail::thumbnail;

/// The largest picture that is read, in pixels: room for every camera, and a limit on what a damaged header can claim.
pub(crate) const MAX_PIXELS: u64 = 1 << 27;

/// The format of a picture's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileFormat {
    Jpeg,
    Png,
}

/// How many bits a sample has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    Eight,
    Sixteen,
}

/// What a picture looks like to whoever reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) height: u32,
    pub(crate) width: u32,
    /// 1 for grays and depth, 3 for colours.
    pub(crate) channels: u8,
    pub(crate) depth: Depth,
}

/// The pixels of a picture, row by row, without gaps; 16-bit samples in this machine's order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pixels {
    pub(crate) shape: Shape,
    pub(crate) samples: Samples,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Samples {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
}

/// A decoded file.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) pixels: Pixels,
    pub(crate) format: FileFormat,
    /// The file shows these very pixels to any reader: no alpha, palette or other colours.
    pub(crate) is_plain: bool,
}

/// Why a picture can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// It is neither JPEG nor PNG.
    #[error("it is neither JPEG nor PNG (it starts with {0}); record pictures as one of them")]
    Unknown(String),
    /// It claims to be larger than any camera's.
    #[error("its header claims {width}x{height} pixels, which is too large")]
    TooLarge {
        /// Pixels in a row.
        width: u64,
        /// Rows.
        height: u64,
    },
    /// Its colours have 16 bits.
    #[error(
        "its colours have 16 bits a sample, which datasets can't hold; only grays and depth may"
    )]
    DeepColors,
    /// The JPEG is damaged.
    #[error("it is not a whole JPEG: {0}")]
    Jpeg(String),
    /// The PNG is damaged.
    #[error("it is not a whole PNG: {0}")]
    Png(#[from] png::DecodingError),
    /// The picture of another size can't be made.
    #[error("it can't be resized: {0}")]
    Resize(String),
    /// The picture can't be encoded.
    #[error("it can't be encoded: {0}")]
    Encode(String),
}

impl FileFormat {
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
        }
    }
}

impl Shape {
    /// The same, with another height and width.
    pub(crate) fn with_size(self, (height, width): (u32, u32)) -> Self {
        Self { height, width, ..self }
    }

    /// How much memory its pixels take.
    pub(crate) fn bytes(self) -> usize {
        let sample = match self.depth {
            Depth::Eight => 1,
            Depth::Sixteen => 2,
        };
        // Sizes are checked against MAX_PIXELS.
        self.width as usize * self.height as usize * usize::from(self.channels) * sample
    }

    /// The same, with three channels.
    pub(crate) fn as_colors(self) -> Self {
        Self { channels: 3, ..self }
    }

    fn check(self) -> Result<Self, PictureError> {
        check_size(u64::from(self.width), u64::from(self.height)).map(|()| self)
    }
}

fn check_size(width: u64, height: u64) -> Result<(), PictureError> {
    let pixels = width.checked_mul(height).filter(|pixels| *pixels <= MAX_PIXELS);
    pixels.map(|_| ()).ok_or(PictureError::TooLarge { width, height })
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { height, width, channels, depth } = self;
        let bits = match depth {
            Depth::Eight => 8,
            Depth::Sixteen => 16,
        };
        let plural = if *channels == 1 { "" } else { "s" };
        write!(f, "{width}x{height} with {channels} channel{plural} of {bits} bits")
    }
}

impl Pixels {
    /// The same picture in three channels, for readers that know only colours.
    pub(crate) fn into_colors(self) -> Self {
        match self {
            Self { shape: shape @ Shape { channels: 1, .. }, samples: Samples::Eight(grays) } => {
                let colors = grays.iter().flat_map(|gray| [*gray; 3]).collect();
                Self { shape: shape.as_colors(), samples: Samples::Eight(colors) }
            }
            colors => colors,
        }
    }
}

#[cfg(test)]
mod tests;
