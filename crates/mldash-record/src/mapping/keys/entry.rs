//! The keys of an entry of `topics`, and of `types`.

use super::super::blobs::{CLOUDS, IMAGES, TO};
use super::super::qos::{DURABILITIES, RELIABILITIES};
use super::super::settings::{ON_TYPE_CHANGE, ON_TYPE_CHANGES, SAME_STAMP, SAME_STAMPS};
use super::{RATE, TYPE};
use crate::yaml::{Key, KeyTable, Range, Shape, joined, words};

/// What an entry of `topics` has.
pub(in super::super) const ENTRY: KeyTable = KeyTable::new(
    "entry",
    "An entry of `topics`: which topics, and how they are recorded.",
    &joined::<16>(
        &[
            Key::new(
                "topic",
                Shape::Text,
                "\"/camera/*/camera_info\"",
                "A topic's name, or a glob of several: `*` is anything within one part of a name, `**` any number of parts.",
            ),
            Key::new(
                "regex",
                Shape::Text,
                "\"^/arm_[0-9]/\"",
                "In place of `topic`: a regular expression, which is looked for anywhere in a topic's name.",
            ),
            Key::new(
                "type",
                TYPE,
                "sensor_msgs/msg/Imu",
                "Only topics of this type. With a topic's own name: the type that is expected; another one is reported.",
            ),
        ],
        SETTINGS.keys,
    ),
)
.any_of(&["topic", "regex"])
.apart(&["topic", "regex"]);

/// What an entry of `types` has, and one of `topics` too.
pub(in super::super) const SETTINGS: KeyTable = KeyTable::new(
    "settings",
    "Settings of a type: how its topics are recorded, as in an [entry](#entry) of `topics`.",
    &[
        Key::new(
            "track",
            Shape::Text,
            "\"{topic}/{child_frame_id}\"",
            "The name of the track. `{topic}`, what a wildcard or a group matched (`{1}` is the first) and fields of the \
             message fill in. Without this key, the topic without its leading `/`.",
        ),
        Key::new(
            "stamp",
            Shape::AnyOf(&[Shape::Words(&["header", "receive", "source"]), Shape::Text]),
            "receive",
            "Where a row's time comes from: the message's `header`, or when it was received if it has no stamp; `receive`; \
             `source`, when it was sent; or the path of a field.",
        )
        .or("header"),
        Key::new(
            "stamp_offset",
            Shape::Number(Range::ANY),
            "-0.035",
            "Seconds that are added to the stamp, for a known latency or a clock that is off.",
        )
        .or("0"),
        Key::new(
            "receive_ts",
            Shape::Truth,
            "true",
            "Adds a column `receive_ts`: when the message was received, in seconds.",
        )
        .or("false"),
        Key::new(
            "stamp_ns",
            Shape::Truth,
            "true",
            "Adds a column `stamp_ns`: the original stamp in nanoseconds.",
        )
        .or("false"),
        Key::new(
            "fields",
            Shape::AnyOf(&[Shape::List(&Shape::Text), Shape::Map(&Shape::Text)]),
            "{position: pose.position, near: \"ranges[0:3]\"}",
            "Which fields become columns: `column: path` lines, or a list of paths. Paths can select parts of arrays: \
             `ranges[::4]`, `position[0:3]`, `d[-1]`. Without this key all fields.",
        ),
        Key::new(
            "max_rate",
            RATE,
            "30",
            "At most so many rows a second, by their stamps. Without this key every message gives one.",
        ),
        Key::new(
            "on_change",
            Shape::Truth,
            "true",
            "Only rows that differ from the one before in more than the stamp.",
        )
        .or("false"),
        Key::new(
            SAME_STAMP,
            Shape::Words(&words(&SAME_STAMPS)),
            "merge",
            "What becomes of a message with the stamp of another: `keep` gives it a row of its own less than a microsecond \
             later, `merge` makes one row in which the later fields win, `drop` keeps the first.",
        )
        .or("keep"),
        Key::new(
            "qos",
            Shape::AnyOf(&[Shape::Words(&["auto"]), Shape::Section(&QOS)]),
            "{reliability: best_effort, depth: 10}",
            "How the topic is subscribed to. `auto` follows what the publishers offer.",
        )
        .or("auto"),
        Key::new(
            ON_TYPE_CHANGE,
            Shape::Words(&words(&ON_TYPE_CHANGES)),
            "split_track",
            "What becomes of messages of another type on this topic: `refuse` counts them, `split_track` gives them a track \
             such as `gripper.std_msgs.Int32`.",
        )
        .or("refuse"),
        Key::new(
            "blobs",
            Shape::AnyOf(&[Shape::Words(&words(&TO)), Shape::Section(&BLOBS)]),
            "{to: file, image: jpeg, quality: 90}",
            "What becomes of byte arrays, images and clouds: `file`, `inline`, `drop`, or in detail.",
        )
        .or("file"),
        Key::new(
            "each",
            Shape::Text,
            "transforms",
            "An array of the message whose elements become a row each, with their own stamps.",
        ),
    ],
);

/// What `qos` has.
pub(in super::super) const QOS: KeyTable = KeyTable::new(
    "qos",
    "How a topic is subscribed to. What is left out follows what the publishers offer.",
    &[
        Key::new(
            "reliability",
            Shape::Words(&words(&RELIABILITIES)),
            "best_effort",
            "Whether messages that get lost are sent again.",
        ),
        Key::new(
            "durability",
            Shape::Words(&words(&DURABILITIES)),
            "transient_local",
            "Whether messages from before the subscription are asked for (`transient_local`: latched).",
        ),
        Key::new(
            "depth",
            Shape::Whole(Range::from(1.0).to(u32::MAX as f64)),
            "10",
            "How many messages the middleware holds for the bridge.",
        )
        .or("10000"),
    ],
);

/// What `blobs` has.
pub(in super::super) const BLOBS: KeyTable = KeyTable::new(
    "blobs",
    "What becomes of byte arrays, images and clouds.",
    &[
        Key::new(
            "to",
            Shape::Words(&words(&TO)),
            "file",
            "`file`: files beside the tracks, which rows name. `inline`: columns of the row. `drop`: left out.",
        )
        .or("file"),
        Key::new(
            "image",
            Shape::Words(&words(&IMAGES)),
            "png",
            "How images that are not compressed are written. `auto`: colour as JPEG, all else as PNG, floats as npy.",
        )
        .or("auto"),
        Key::new("quality", Shape::Whole(Range::from(1.0).to(100.0)), "90", "The quality of JPEG.").or("90"),
        Key::new("cloud", Shape::Words(&words(&CLOUDS)), "npy", "How clouds are written.").or("pcd"),
        Key::new(
            "max_inline",
            Shape::Size,
            "1MiB",
            "Byte arrays up to this size stay in the row with `file`; images and clouds never do.",
        )
        .or("64KiB"),
    ],
);
