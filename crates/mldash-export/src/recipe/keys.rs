//! All keys of a recipe: what the reader takes, editors complete and the reference explains.

use mldash_record::yaml::{Key, KeyTable, Range, Shape, words};

use super::read::{
    DTYPES, FORMATS, MAX_FPS, MAX_OF_VIDEO, MAX_SIDE, METHODS, MISSING, PICTURE_STORAGES, WINDOWS,
};

const COUNT: Shape = Shape::Whole(Range::from(1.0));
const TEXTS: Shape = Shape::AnyOf(&[Shape::Text, Shape::List(&Shape::Text)]);
const MISSING_VALUE: Shape = Shape::Words(&words(&MISSING));
const FFMPEG_WORD: Shape = Shape::Pattern("^[A-Za-z0-9_][A-Za-z0-9_-]*$", "a name of ffmpeg's");

/// The recipe as a whole.
pub const RECIPE: KeyTable = KeyTable::new(
    "recipe",
    "What a dataset is made of.",
    &[
        Key::new(
            "format",
            Shape::Words(&words(&FORMATS)),
            "parquet",
            "The layout: LeRobot v3.0, or one table of Parquet in a folder for each episode. The option `--format` goes before it.",
        )
        .or("lerobot"),
        Key::new(
            "fps",
            Shape::Whole(Range::from(1.0).to(MAX_FPS as f64)),
            "30",
            "Ticks a second: each is a frame of the dataset.",
        )
        .required(),
        Key::new("robot_type", Shape::Text, "mobile_base", "What robot it is."),
        Key::new(
            "task",
            Shape::Text,
            "pick the cup",
            "What the robot does. Without this key, each experiment's own task.",
        ),
        Key::new(
            "missing",
            MISSING_VALUE,
            "drop",
            "What a tick without a fresh value costs: `drop` leaves it out and begins a new episode after it, `hold` keeps the \
             last value, `end_episode` ends the episode, `error` ends the export.",
        )
        .or("error"),
        Key::new("min_frames", COUNT, "30", "Shorter episodes are left out, and told.").or("1"),
        Key::new(
            "stamps",
            Shape::Truth,
            "true",
            "Adds for each feature the true stamps and ages of its values, as `stamp.NAME` and `age.NAME`.",
        )
        .or("false"),
        Key::new("video", Shape::Section(&VIDEO), "{crf: 25}", "How videos are encoded."),
        Key::new(
            "features",
            Shape::Map(&Shape::Section(&FEATURE)),
            "{action: {from: \"cmd_vel:linear[0]\"}}",
            "The features, in order, by their names.",
        )
        .required(),
    ],
);

/// What a feature has.
pub(super) const FEATURE: KeyTable = KeyTable::new(
    "feature",
    "A feature: a fixed number of numbers, or a picture (`as`).",
    &[
        Key::new(
            "from",
            TEXTS,
            "\"odom:pose.pose.position[0:2]\"",
            "Where its values come from: `track:column`, `track:column[0:6]`, or a list of such; of a picture the track.",
        )
        .required(),
        Key::new("names", TEXTS, "[x, y]", "A name for each number."),
        Key::new("units", TEXTS, "[m, m]", "A unit for each number, or one for all."),
        Key::new("unit", TEXTS, "m", "The same as `units`."),
        Key::new("dtype", Shape::Words(&words(&DTYPES)), "float64", "The type of its numbers.").or("float32"),
        Key::new(
            "joints",
            TEXTS,
            "[shoulder, elbow]",
            "The joints in this order, by the names that messages have beside the column.",
        ),
        Key::new(
            "method",
            Shape::Words(&words(&METHODS)),
            "nearest",
            "Which rows a tick's value comes from: the last one at or before it (`floor`), the nearest one, between the rows \
             before and after it (`linear`; `slerp` of quaternions), or all rows since the tick before (`window`).",
        )
        .or("floor"),
        Key::new(
            "window",
            Shape::Words(&words(&WINDOWS)),
            "max",
            "With `method: window`: what of these rows.",
        )
        .or("mean"),
        Key::new(
            "tolerance",
            Shape::Number(Range::from(0.0)),
            "0.1",
            "How many seconds such a row may be away. Without this key there is no limit.",
        ),
        Key::new("missing", MISSING_VALUE, "hold", "The same as [above](#recipe), for this feature."),
        Key::new(
            "as",
            Shape::Words(&words(&PICTURE_STORAGES)),
            "image",
            "A picture, and how it is stored: each as a file (`image`), or as frames of a `video`, which takes ffmpeg.",
        ),
        Key::new(
            "size",
            Shape::List(&Shape::Whole(Range::from(1.0).to(MAX_SIDE as f64))),
            "[240, 320]",
            "Height and width of a picture. Without this key as recorded.",
        ),
    ],
)
.apart(&["unit", "units"]);

/// What `video` has.
pub(super) const VIDEO: KeyTable = KeyTable::new(
    "video",
    "How videos are encoded: as LeRobot does unless this says otherwise.",
    &[
        Key::new("codec", FFMPEG_WORD, "libx264", "ffmpeg's encoder.").or("libsvtav1"),
        Key::new(
            "crf",
            Shape::Whole(Range::from(0.0).to(MAX_OF_VIDEO as f64)),
            "25",
            "The quality; less is better.",
        )
        .or("30"),
        Key::new(
            "g",
            Shape::Whole(Range::from(1.0).to(MAX_OF_VIDEO as f64)),
            "10",
            "A whole frame every so many: less is quicker to seek.",
        )
        .or("2"),
        Key::new("pix_fmt", FFMPEG_WORD, "yuv444p", "How pixels are stored.").or("yuv420p"),
        Key::new(
            "preset",
            Shape::AnyOf(&[FFMPEG_WORD, Shape::Whole(Range::from(0.0))]),
            "8",
            "The encoder's preset. Without this key `12` with libsvtav1, else the encoder's own.",
        ),
    ],
);
