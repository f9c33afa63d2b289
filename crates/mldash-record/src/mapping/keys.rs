//! All keys of a mapping: what the reader takes, editors complete and the reference explains.

mod entry;

use super::publish::{MAX_INLINE_FILES, PUBLISH};
use super::read::{CLOCK_JUMPS, COMPRESSIONS, KEEPS, LONGEST_GATHER_SECS, WHEN_FULL};
use super::settings::{ON_TYPE_CHANGE, ON_TYPE_CHANGES, SAME_STAMP, SAME_STAMPS};
use super::snapshot::{SAVE_ON, SNAPSHOT};
use super::split_on::{ACTIONS, SPLIT_ON};
use crate::yaml::{Key, KeyTable, Range, Shape, joined, words};

pub(super) use entry::{BLOBS, ENTRY, QOS, SETTINGS};

/// The mapping as a whole.
pub const MAPPING: KeyTable = KeyTable::new("mapping", "What to record, and how.", &TOP_KEYS)
    .any_of(&["topics", "services", "actions"]);

const TYPE: Shape = Shape::Pattern("^[^/]+/([^/]+/)?[^/]+$", "a message type");
const TOPICS: Shape = Shape::AnyOf(&[Shape::Text, Shape::ListOrNone(&Shape::Text)]);
const RATE: Shape = Shape::Number(Range::above(0.0));
const COUNT: Shape = Shape::Whole(Range::from(1.0));
/// As [`Options::interval`](mldash_track::Options::interval) takes them.
const INTERVAL: Shape = Shape::Number(Range::from(0.01).to(86_400.0));

const TOP_KEYS: [Key; 25] = [
    Key::new(
        "experiment",
        Shape::Text,
        "alice/warehouse/{date}-{time}",
        "The recording's name: owner/project/…/name. `{date}`, `{time}`, `{host}` and `{env:NAME}`, an environment variable, \
         fill in. The option `--experiment` goes before it.",
    ),
    Key::new(
        "root",
        Shape::Text,
        "~/dash",
        "The folder of the local store, in ML-Dash's own layout. A relative path starts at the working directory. The option \
         `--root` goes before it.",
    )
    .or(".dash"),
    Key::new(
        "topics",
        Shape::List(&Shape::Section(&ENTRY)),
        "[{topic: /odom}]",
        "Which topics are recorded, and how. An entry with the topic's own name counts before globs; of the globs, the first \
         one that matches.",
    ),
    Key::new(
        "types",
        Shape::Map(&Shape::Section(&SETTINGS)),
        "{sensor_msgs/msg/Imu: {max_rate: 100}}",
        "Settings for every topic of a type. A topic's own entry goes before them.",
    ),
    Key::new(
        "services",
        TOPICS,
        "[/add_two_ints, \"/arm/**\"]",
        "Services whose calls are recorded: names and globs, or `all`. Their introspection must be on.",
    ),
    Key::new(
        "actions",
        TOPICS,
        "all",
        "Actions whose goals, feedback and status are recorded: names and globs, or `all`.",
    ),
    Key::new(
        "exclude",
        Shape::ListOrNone(&Shape::AnyOf(&[Shape::Text, Shape::Section(&EXCLUDED)])),
        "[/rosout, {regex: _debug$}]",
        "Names, globs or regular expressions of topics that globs don't record.",
    ),
    Key::new(
        "exclude_types",
        Shape::ListOrNone(&TYPE),
        "[sensor_msgs/msg/PointCloud2]",
        "Types that globs don't record.",
    ),
    Key::new(
        "required",
        Shape::ListOrNone(&Shape::AnyOf(&[Shape::Text, Shape::Section(&REQUIRED)])),
        "[{topic: /odom, min_rate: 100}]",
        "Topics that a complete recording must have. The bridge warns when one falls short; `/diagnostics` and the account \
         show it.",
    ),
    Key::new(
        "tags",
        Shape::ListOrNone(&Shape::Text),
        "[kitchen, \"{env:USER}\"]",
        "Tags of every part of the recording. `{env:NAME}` fills in. The option `--tag` adds to them.",
    ),
    Key::new(
        "metadata",
        Shape::Map(&Shape::Text),
        "{task: pick the cup, operator: anna}",
        "What else is said of every part: `task`, `operator`, and keys of your own. `{env:NAME}` fills in.",
    ),
    Key::new(
        "remote",
        Shape::Section(&REMOTE),
        "{url: \"https://api.example.org\"}",
        "A server to upload to as well. The option `--remote` goes before its `url`.",
    ),
    Key::new(
        PUBLISH,
        Shape::Section(&PUBLISHED),
        "{to: \"s3://fleet/robots\"}",
        "An object store that each part is put on once it is closed, as Parquet for DuckDB, Spark and Polars.",
    ),
    Key::new("flush", Shape::Section(&FLUSH), "{interval: 0.5}", "When rows are written."),
    Key::new(
        "compress",
        Shape::Words(&words(&COMPRESSIONS)),
        "zstd",
        "`zstd` packs the rows of each part once it is closed. ML-Dash's SDK reads them after `mldash_bridge unpack`.",
    )
    .or("none"),
    Key::new(
        "min_free",
        Shape::Size,
        "2GiB",
        "Disk space to keep free. With less, topics of large messages stop; with less than half of it, all do. `0` never \
         stops. Without this key 256 MiB, on small disks a twentieth of the disk.",
    ),
    Key::new(
        "split",
        Shape::Section(&SPLIT),
        "{every: 10min, size: 4GiB}",
        "When a part of the recording ends by itself. The next one is called `<name>_002`. Nothing is lost between parts.",
    ),
    Key::new(
        SPLIT_ON,
        Shape::AnyOf(&[Shape::Section(&SPLITTER), Shape::ListOrNone(&Shape::Section(&SPLITTER))]),
        "{topic: /episode}",
        "Topics whose messages end and begin parts: an entry, or a list of some. Each part is an experiment, one episode.",
    ),
    Key::new(
        SNAPSHOT,
        Shape::Section(&SNAPSHOT_KEYS),
        "{keep: 30s, memory: 1GiB}",
        "Hold the last seconds in memory instead of recording all. The service `~/save` or `save_on` writes them.",
    ),
    Key::new(
        SAVE_ON,
        Shape::AnyOf(&[Shape::Section(&SAVER), Shape::ListOrNone(&Shape::Section(&SAVER))]),
        "{topic: /estop, field: data, becomes: true}",
        "Topics whose messages save a snapshot: an entry, or a list of some. Needs `snapshot`.",
    ),
    Key::new(
        "start_paused",
        Shape::Truth,
        "true",
        "Count messages and record none until the service `~/resume` is called.",
    )
    .or("false"),
    Key::new(
        "clock_jump",
        Shape::Words(&words(&CLOCK_JUMPS)),
        "split",
        "What happens when the ROS clock jumps back, as when a simulator is restarted: `sort` sorts rows in by time, `split` \
         continues in the next part.",
    )
    .or("sort"),
    Key::new(
        SAME_STAMP,
        Shape::Words(&words(&SAME_STAMPS)),
        "merge",
        "The same as [in an entry](#entry), for all topics.",
    )
    .or("keep"),
    Key::new(
        ON_TYPE_CHANGE,
        Shape::Words(&words(&ON_TYPE_CHANGES)),
        "split_track",
        "The same as [in an entry](#entry), for all topics.",
    )
    .or("refuse"),
    Key::new(
        "gather",
        Shape::Number(Range::from(0.0).to(LONGEST_GATHER_SECS)),
        "0.001",
        "How many seconds messages may collect in the middleware under load before they are taken. It saves CPU; rows keep \
         their arrival times.",
    )
    .or("0.005"),
];

/// What `remote` has.
pub(super) const REMOTE: KeyTable = KeyTable::new(
    "remote",
    "A server to upload to. Everything goes to the local store first, and to the server when there is a network.",
    &[
        Key::new(
            "url",
            Shape::Pattern("^https?://", "an address, http or https"),
            "\"https://api.example.org\"",
            "The server's address.",
        )
        .required(),
        Key::new(
            "token_env",
            Shape::Pattern("^[A-Za-z_][A-Za-z0-9_]*$", "an environment variable's name"),
            "ML_DASH_API_KEY",
            "The environment variable that holds the token.",
        ),
        Key::new(
            "keep",
            Shape::Words(&words(&KEEPS)),
            "unsynced",
            "What stays here of a closed part that is uploaded: `all`, or only what the server has not returned (`unsynced`).",
        )
        .or("all"),
        Key::new(
            "max_local",
            Shape::Size,
            "20GiB",
            "The limit on the local store. Without this key there is none.",
        ),
        Key::new(
            "when_full",
            Shape::Words(&words(&WHEN_FULL)),
            "drop_synced",
            "What happens at that limit: `stop` stops recording, `drop_synced` first deletes uploaded data, oldest first. Data \
             that is not uploaded is never deleted.",
        )
        .or("stop"),
    ],
);

/// What `publish` has.
pub(super) const PUBLISHED: KeyTable = KeyTable::new(
    "publish",
    "An object store for closed parts. It is done in the background; credentials come from the environment.",
    &[
        Key::new(
            "to",
            Shape::Pattern("^((s3|gs|az)://[^/?#@ ][^?#@ ]*|file:///[^?#@ ]*)$", "an address, s3, gs, az or file"),
            "\"s3://fleet/robots\"",
            "The place: `s3://BUCKET/PREFIX`, `gs://…`, `az://CONTAINER/PREFIX` or `file:///FOLDER`.",
        )
        .required(),
        Key::new(
            "endpoint",
            Shape::Pattern("^https?://", "an address, http or https"),
            "\"https://minio.example.org:9000\"",
            "Where an S3-compatible store listens.",
        ),
        Key::new(
            "inline_files",
            Shape::SizeUpTo(MAX_INLINE_FILES.get() >> 20),
            "64KiB",
            "Pictures and clouds up to this size go into the rows. Without this key all are objects that the rows name by URL.",
        ),
        Key::new(
            "limit_rate",
            Shape::Size,
            "500kB",
            "The most bytes to send in a second. Without this key there is no limit.",
        ),
        Key::new(
            "single_writer",
            Shape::Truth,
            "true",
            "For a store that takes no conditional puts: nobody else publishes there.",
        )
        .or("false"),
    ],
);

/// What `flush` has.
pub(super) const FLUSH: KeyTable = KeyTable::new(
    "flush",
    "When rows are written. A `kill -9` loses what is not written, a power cut what is not synced.",
    &[
        Key::new("interval", INTERVAL, "0.5", "Rows are written every so many seconds …").or("0.5"),
        Key::new("batch", COUNT, "100", "… or when so many rows of one track wait.").or("100"),
        Key::new(
            "fsync",
            INTERVAL,
            "1.0",
            "Rows are written and synced to the disk every so many seconds.",
        )
        .or("1"),
    ],
);

/// A regular expression in `exclude`.
pub(super) const EXCLUDED: KeyTable = KeyTable::new(
    "excluded",
    "Topics that are left out by a regular expression.",
    &[Key::new("regex", Shape::Text, "_debug$", "Looked for anywhere in a topic's name.")
        .required()],
);

/// What an entry of `required` has.
pub(super) const REQUIRED: KeyTable = KeyTable::new(
    "required",
    "A topic that a complete recording must have.",
    &[
        Key::new("topic", Shape::Text, "/odom", "Its name; an entry of `topics` must record it.")
            .required(),
        Key::new(
            "min_rate",
            RATE,
            "100",
            "The least rate in Hz. Without this key it is enough that messages arrive.",
        ),
    ],
);

/// What `split` has.
pub(super) const SPLIT: KeyTable = KeyTable::new(
    "split",
    "When a part of the recording ends by itself. The limit that is reached first counts.",
    &[
        Key::new(
            "every",
            Shape::Span,
            "10min",
            "After so long, from the receive time of the part's first message: a second to a year.",
        ),
        Key::new(
            "size",
            Shape::Size,
            "4GiB",
            "After so many bytes of messages, at least 1 MiB; a bag would have about that size.",
        ),
        Key::new("rows", COUNT, "1000000", "After so many rows, over all tracks."),
    ],
);

/// What `snapshot` has.
pub(super) const SNAPSHOT_KEYS: KeyTable = KeyTable::new(
    "snapshot",
    "What is held in memory until it is asked for.",
    &[
        Key::new("keep", Shape::Span, "30s", "How long messages are held: 0.1 s to 24 h.")
            .required(),
        Key::new(
            "memory",
            Shape::Size,
            "1GiB",
            "The bound on them, at least 1 MiB. Beyond it the oldest fall out before their time.",
        )
        .or("1GiB"),
    ],
);

/// What an entry of `save_on` has.
pub(super) const SAVER: KeyTable =
    KeyTable::new("save_on", "A topic whose messages save a snapshot.", &TRIGGER)
        .apart(&["becomes", "equals"]);

/// What an entry of `split_on` has.
pub(super) const SPLITTER: KeyTable = KeyTable::new(
    "split_on",
    "A topic whose messages end and begin parts. It need not be recorded.",
    &joined::<8>(
        &TRIGGER,
        &[Key::new(
            "do",
            Shape::AnyOf(&[Shape::Words(&words(&ACTIONS)), Shape::Pattern("\\{", "a text with a field in it")]),
            "discard",
            "`split` ends the part and begins the next, `discard` also marks it as not to be used, `stop` only ends it, \
             `start` begins one. `\"{data}\"`: the message says which.",
        )
        .or("split")],
    ),
)
.apart(&["becomes", "equals"]);

const TRIGGER: [Key; 7] = [
    Key::new("topic", Shape::Text, "/joy", "The topic's name.").required(),
    Key::new("type", TYPE, "sensor_msgs/msg/Joy", "The type that is expected."),
    Key::new(
        "field",
        Shape::Text,
        "\"buttons[0]\"",
        "The field that is compared. Without it every message acts.",
    ),
    Key::new("becomes", Shape::Text, "1", "Acts once, when the field turns to this value."),
    Key::new("equals", Shape::Text, "1", "Acts with each message that has this value."),
    Key::new(
        "task",
        Shape::Text,
        "\"{data}\"",
        "The task of the part that begins; with `save_on`, of the part that is saved. Fields of the message fill in.",
    ),
    Key::new(
        "success",
        Shape::Truth,
        "true",
        "Whether the part that ends succeeded; with `save_on`, the part that is saved.",
    ),
];
