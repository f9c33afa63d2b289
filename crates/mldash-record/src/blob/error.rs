//! Why bytes can't be what their message says.

/// Why a byte array can't be written as what its message says it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The message lacks a field, or the field has another type.
    #[error("its type has no field `{name}` that fits a picture or a cloud")]
    NoField {
        /// The field.
        name: &'static str,
    },
    /// Width or height is 0.
    #[error("an image of {width}x{height} has no pixels")]
    NoPixels {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// Rows are longer than their step.
    #[error("a row of {width} {encoding} pixels is {row_bytes} bytes; `step` is {step}")]
    Step {
        /// Pixels in a row.
        width: usize,
        /// The encoding of the pixels.
        encoding: String,
        /// The bytes of a row.
        row_bytes: u128,
        /// The step in the message.
        step: usize,
    },
    /// The bytes are not those of all rows.
    #[error("{height} rows of {step} bytes are {needed} bytes; `data` has {found}")]
    ImageBytes {
        /// Rows.
        height: usize,
        /// Bytes from row to row.
        step: usize,
        /// The bytes of all rows.
        needed: u128,
        /// The bytes in the message.
        found: usize,
    },
    /// Two pixels share their colour, so there must be an even number.
    #[error("a row of {encoding} pixels needs an even `width`, got {width}")]
    OddWidth {
        /// The encoding of the pixels.
        encoding: String,
        /// The number of pixels in a row.
        width: usize,
    },
    /// No field describes the points.
    #[error("the cloud's `fields` describe nothing in its points")]
    NoPointFields,
    /// A type of numbers that `sensor_msgs/msg/PointField` does not have.
    #[error("the point field `{name}` has the datatype {datatype}; PointField has 1 to 11")]
    Datatype {
        /// The field of the points.
        name: String,
        /// Its type.
        datatype: usize,
    },
    /// A field lies outside of its point.
    #[error("the point field `{name}` ends at byte {end} of points of {point_step} bytes")]
    BeyondPoint {
        /// The field of the points.
        name: String,
        /// Where it ends.
        end: u128,
        /// The size of a point.
        point_step: usize,
    },
    /// Fields share bytes too often.
    #[error("the point fields need {bytes} bytes in total, in points of {point_step} bytes")]
    Overlap {
        /// The size of all fields of a point.
        bytes: usize,
        /// The size of a point.
        point_step: usize,
    },
    /// Rows are longer than their step.
    #[error("a row of {width} points is {row_bytes} bytes; `row_step` is {row_step}")]
    RowStep {
        /// Points in a row.
        width: usize,
        /// The bytes of a row.
        row_bytes: u128,
        /// The step in the message.
        row_step: usize,
    },
    /// There are fewer bytes than the points need.
    #[error("{width}x{height} points need {needed} bytes; `data` has {found}")]
    CloudBytes {
        /// Points in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// The bytes that they need.
        needed: u128,
        /// The bytes in the message.
        found: usize,
    },
    /// The number of bytes differs from the one that was checked before.
    #[error("{found} bytes instead of {expected}")]
    OtherBytes {
        /// The number that was checked.
        expected: usize,
        /// The number now.
        found: usize,
    },
    /// Making a PNG failed.
    #[error("can't encode it as PNG")]
    Png(#[from] png::EncodingError),
    /// Making a JPEG failed.
    #[error("can't encode it as JPEG")]
    Jpeg(#[from] jpeg_encoder::EncodingError),
}
