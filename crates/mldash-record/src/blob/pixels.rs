//! Encodings of pixels, by the names of `sensor_msgs/image_encodings.hpp` and OpenCV.

/// What a pixel is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pixels {
    pub(super) sample: Sample,
    pub(super) channels: usize,
    pub(super) meaning: Meaning,
}

/// One number of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sample {
    U8,
    I8,
    U16,
    I16,
    I32,
    F32,
    F64,
}

/// What the numbers of a pixel mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Brightness.
    Gray,
    /// One number that must not change: depth, a label, a cell of a colour mosaic.
    Exact,
    Rgb,
    Bgr,
    Rgba,
    Bgra,
    /// U Y V Y: two pixels that share their colour.
    Uyvy,
    /// Y U Y V.
    Yuyv,
    /// Numbers that no picture format holds.
    Numbers,
}

impl Pixels {
    /// The pixels of an encoding; `None` if it is unknown.
    pub(super) fn of(encoding: &str) -> Option<Self> {
        use Meaning::{Bgr, Bgra, Exact, Gray, Rgb, Rgba, Uyvy, Yuyv};
        use Sample::{U8, U16};
        let (sample, channels, meaning) = match encoding {
            "mono8" => (U8, 1, Gray),
            "mono16" => (U16, 1, Exact),
            "rgb8" => (U8, 3, Rgb),
            "bgr8" => (U8, 3, Bgr),
            "rgba8" => (U8, 4, Rgba),
            "bgra8" => (U8, 4, Bgra),
            "rgb16" => (U16, 3, Rgb),
            "bgr16" => (U16, 3, Bgr),
            "rgba16" => (U16, 4, Rgba),
            "bgra16" => (U16, 4, Bgra),
            "bayer_rggb8" | "bayer_bggr8" | "bayer_gbrg8" | "bayer_grbg8" => (U8, 1, Exact),
            "bayer_rggb16" | "bayer_bggr16" | "bayer_gbrg16" | "bayer_grbg16" => (U16, 1, Exact),
            "yuv422" | "uyvy" => (U8, 2, Uyvy),
            "yuv422_yuy2" | "yuyv" => (U8, 2, Yuyv),
            other => return Self::of_opencv(other),
        };
        Some(Self { sample, channels, meaning })
    }

    /// `16UC1`, `32FC3`: OpenCV's names, which say nothing about colours.
    fn of_opencv(encoding: &str) -> Option<Self> {
        let (sample, channels) = encoding.split_once('C')?;
        let sample = match sample {
            "8U" => Sample::U8,
            "8S" => Sample::I8,
            "16U" => Sample::U16,
            "16S" => Sample::I16,
            "32S" => Sample::I32,
            "32F" => Sample::F32,
            "64F" => Sample::F64,
            _ => return None,
        };
        let channels =
            channels.parse().ok().filter(|channels| (1..=MAX_CHANNELS).contains(channels))?;
        let meaning = match (sample, channels) {
            (Sample::U8 | Sample::U16, 1) => Meaning::Exact,
            _ => Meaning::Numbers,
        };
        Some(Self { sample, channels, meaning })
    }

    /// The size of a pixel.
    pub(super) fn size_bytes(self) -> usize {
        self.channels * self.sample.size_bytes()
    }

    pub(super) fn is_yuv(self) -> bool {
        matches!(self.meaning, Meaning::Uyvy | Meaning::Yuyv)
    }
}

/// OpenCV's `CV_CN_MAX`.
const MAX_CHANNELS: usize = 512;

impl Sample {
    pub(super) fn size_bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// numpy's name of its type, without the byte order.
    pub(super) fn numpy(self) -> &'static str {
        match self {
            Self::U8 => "u1",
            Self::I8 => "i1",
            Self::U16 => "u2",
            Self::I16 => "i2",
            Self::I32 => "i4",
            Self::F32 => "f4",
            Self::F64 => "f8",
        }
    }
}
