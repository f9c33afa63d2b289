//! Why bytes can't be what their message says.

/// Why a byte array can't be written as what its message says that it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The message lacks a field, or it holds something else.
    #[error("its type has no `{name}` as a picture or a cloud has it")]
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
        /// The pixels.
        encoding: String,
        /// What a row takes.
        row_bytes: u128,
        /// What the message gives it.
        step: usize,
    },
    /// The bytes are not those of all rows.
    #[error("{height} rows of {step} bytes are {needed} bytes; `data` has {found}")]
    ImageBytes {
        /// Rows.
        height: usize,
        /// Bytes from row to row.
        step: usize,
        /// What all rows take.
        needed: u128,
        /// What there is.
        found: usize,
    },
    /// Two pixels share their colour, so that they come in pairs.
    #[error("a row of {encoding} pixels has an even number of them; `width` is {width}")]
    OddWidth {
        /// The pixels.
        encoding: String,
        /// How many there are.
        width: usize,
    },
    /// Nothing says what the points are.
    #[error("a cloud whose `fields` name nothing in its points")]
    NoPointFields,
    /// A type of numbers that `sensor_msgs/msg/PointField` does not know.
    #[error("the point field `{name}` has the datatype {datatype}; PointField knows 1 to 11")]
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
        /// What a point takes.
        point_step: usize,
    },
    /// Fields share bytes beyond any use.
    #[error("the point fields are {bytes} bytes together, in points of {point_step}")]
    Overlap {
        /// All fields of a point.
        bytes: usize,
        /// What a point takes.
        point_step: usize,
    },
    /// Rows are longer than their step.
    #[error("a row of {width} points is {row_bytes} bytes; `row_step` is {row_step}")]
    RowStep {
        /// Points in a row.
        width: usize,
        /// What a row takes.
        row_bytes: u128,
        /// What the message gives it.
        row_step: usize,
    },
    /// There are fewer bytes than points need.
    #[error("{width}x{height} points need {needed} bytes; `data` has {found}")]
    CloudBytes {
        /// Points in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// What they take.
        needed: u128,
        /// What there is.
        found: usize,
    },
    /// The bytes are not as many as were looked at before.
    #[error("{found} bytes where {expected} were announced")]
    OtherBytes {
        /// What was announced.
        expected: usize,
        /// What came.
        found: usize,
    },
    /// Making a PNG failed.
    #[error("can't make a PNG of it")]
    Png(#[from] png::EncodingError),
    /// Making a JPEG failed.
    #[error("can't make a JPEG of it")]
    Jpeg(#[from] jpeg_encoder::EncodingError),
}
