//! All keys of a recipe for `align`: what the reader takes, editors complete and the reference explains.

use mldash_bridge::record::yaml::{Key, KeyTable, Range, Shape, joined, words};

use super::how::{METHODS, MISSING};

/// The recipe as a whole.
pub(crate) const JOINS: KeyTable = KeyTable::new(
    "joins",
    "What to join by time, and how.",
    &joined::<10>(
        &[
            Key::new(
                "on",
                Shape::Text,
                "camera/front",
                "The track whose rows are the rows of the result.",
            ),
            Key::new(
                "rate",
                Shape::Number(Range::above(0.0)),
                "20",
                "In place of `on`: so many rows a second, on an exact grid.",
            ),
            Key::new(
                "start",
                Shape::Number(Range::ANY),
                "10",
                "Only rows from this time on, in seconds.",
            ),
            Key::new(
                "end",
                Shape::Number(Range::ANY),
                "20.5",
                "Only rows up to this time, in seconds.",
            ),
            COLUMNS,
            RENAME,
            Key::new(
                "join",
                Shape::List(&Shape::AnyOf(&[Shape::Text, Shape::Section(&JOIN)])),
                "[imu, {track: arm/joints, method: linear}]",
                "The tracks to join: their names, or each with how.",
            )
            .required(),
        ],
        &HOW,
    ),
)
.any_of(&["on", "rate"])
.apart(&["on", "rate"]);

const TEXTS: Shape = Shape::ListOrNone(&Shape::Text);
const COLUMNS: Key = Key::new(
    "columns",
    TEXTS,
    "[frame]",
    "The columns of the track. Without this key all of them.",
);
const RENAME: Key = Key::new(
    "rename",
    Shape::Map(&Shape::Text),
    "{frame: file}",
    "Other names for its columns in the result.",
);
const HOW: [Key; 3] = [
    Key::new(
        "method",
        Shape::Words(&words(&METHODS)),
        "nearest",
        "Which rows a value comes from: the last one at or before the time (`floor`), the nearest one, between the rows before \
         and after it (`linear`), or all rows since the time before.",
    )
    .or("floor"),
    Key::new(
        "tolerance",
        Shape::Number(Range::from(0.0)),
        "0.05",
        "How many seconds such a row may be away. Without this key there is no limit.",
    ),
    Key::new(
        "missing",
        Shape::AnyOf(&[Shape::Null, Shape::Words(&words(&MISSING))]),
        "drop",
        "What becomes of a time without a value: `null` leaves it empty, `hold` keeps the last value, `drop` leaves the row \
         out, `error` ends the command.",
    )
    .or("null"),
];

/// What an entry of `join` has.
pub(super) const JOIN: KeyTable = KeyTable::new(
    "join",
    "A track to join. What is not said holds as for all.",
    &joined::<8>(
        &[
            Key::new(
                "track",
                Shape::Text,
                "arm/joints",
                "The track, or the topic that it was recorded from.",
            )
            .required(),
            COLUMNS,
            RENAME,
            Key::new(
                "age",
                Shape::Text,
                "true",
                "Adds a column for how old the value is, in seconds: `true` calls it `TRACK.age`, a text gives it a name.",
            ),
            Key::new(
                "quaternions",
                TEXTS,
                "[orientation]",
                "With `linear`: columns that hold rotations `[x, y, z, w]`, which turn along the shortest arc.",
            ),
        ],
        &HOW,
    ),
);
