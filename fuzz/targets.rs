//! What is done with bytes that anybody may have made: one function for each parser that meets such bytes. It must return: no panic, no
//! hang, no memory out of proportion, and what was read must come back as it was.

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use mldash_bridge::mapping::Mapping;
use mldash_bridge::message::{ByteArrays, Decoder, Definitions, Layout, MessageType, StampSource};
use mldash_bridge::record::Recorder;
use mldash_bridge::record::bag::Bags;
use mldash_bridge::server::{Limits, Server};
use mldash_bridge::track::json::{Columns, JsonWriter, NonFinite, RowParser};
use mldash_bridge::track::{Experiment, Format, Options, Query, Row, Timestamp};

use super::http::Client;
use super::parquet_table::ParquetTable;

/// A target.
pub type Target = fn(&[u8]);

/// All of them, by their names in `fuzz_targets` and `corpus`.
pub const TARGETS: [(&str, Target); 11] = [
    ("cdr", cdr),
    ("msg", msg),
    ("idl", idl),
    ("mapping", mapping),
    ("json_rows", json_rows),
    ("mcap", bag),
    ("sqlite", bag),
    ("token_file", token_file),
    ("graphql", graphql),
    ("requests", requests),
    ("parquet", parquet),
];

/// In memory if possible.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Types with all that CDR has.
static DECODERS: LazyLock<Vec<Decoder>> = LazyLock::new(|| {
    let nested =
        "\n====\nMSG: demo/Part\nstring name\nfloat32[] values\nuint8[] blob\nbool[3] flags\n";
    let texts = [
        "float64 a\nint8 b\nuint64 c\nbool d\nchar e\nbyte f".to_owned(),
        "string a\nwstring b\nstring<=5 c\nstring[] d\nwstring[<=3] e".to_owned(),
        "float64[] a\nint16[<=4] b\nuint32[7] c\nuint8[] d\nint64[] e".to_owned(),
        format!(
            "builtin_interfaces/Time stamp\nPart[] parts\nPart one\nPart[2] two{nested}\n====\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n"
        ),
        format!(
            "std_msgs/Header header\nPart[<=3] parts{nested}\n====\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n====\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n"
        ),
    ];
    let name = "demo/msg/Whole".parse().unwrap();
    let mut decoders = Vec::new();
    for text in &texts {
        let message = MessageType::from_bundle(&name, text).unwrap();
        for layout in layouts() {
            decoders.extend(Decoder::compile(&message, &layout));
        }
    }
    assert!(decoders.len() > 10);
    decoders
});

fn layouts() -> Vec<Layout> {
    let each = Layout { each: Some("parts".parse().unwrap()), ..Layout::default() };
    let left_out = Layout { byte_arrays: ByteArrays::LeaveOut, ..Layout::default() };
    vec![
        Layout::default(),
        Layout { stamp: StampSource::None, ..Layout::default() },
        left_out,
        each,
    ]
}

/// The first byte chooses a type and a layout, the rest is a message.
pub fn cdr(data: &[u8]) {
    let Some((choice, message)) = data.split_first() else { return };
    let decoder = &DECODERS[usize::from(*choice) % DECODERS.len()];
    decode(decoder, message);
}

fn decode(decoder: &Decoder, message: &[u8]) {
    let mut elements = Vec::new();
    if decoder.decode(message, &mut elements).is_err() {
        assert!(elements.is_empty(), "rows of a message that is wrong");
        return;
    }
    let row = |fields| Row::new(Timestamp::new(0.0).unwrap(), fields);
    let rows_bytes: usize =
        elements.into_iter().map(|element| row(element.fields).size_bytes()).sum();
    // An empty string or array is 4 bytes there, and a column here.
    assert!(rows_bytes <= (message.len() + 64) * 64, "{rows_bytes} bytes of {}", message.len());
}

/// A definition, and a message of zeros by it.
fn definition(message: Arc<MessageType>) {
    for layout in layouts() {
        if let Ok(decoder) = Decoder::compile(&message, &layout) {
            for length in [0, 4, 40, 400] {
                decode_anything(&decoder, &[&[0, 1, 0, 0], vec![0; length].as_slice()].concat());
            }
        }
    }
}

fn decode_anything(decoder: &Decoder, message: &[u8]) {
    // Whatever comes of it; arrays of fixed size have as many values as the definition says.
    drop(decoder.decode(message, &mut Vec::new()));
}

/// A `.msg` text with the types that it needs.
pub fn msg(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(message) = MessageType::from_bundle(&"demo/msg/Whole".parse().unwrap(), text) {
        definition(message);
    }
}

/// The same in OMG IDL.
pub fn idl(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(message) = MessageType::from_idl_bundle(&"demo/msg/Whole".parse().unwrap(), text) {
        definition(message);
    }
}

/// A mapping, asked for some topics.
pub fn mapping(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Mapping::parse(text, "fuzz.yaml") {
        Err(errors) => assert!(!errors.to_string().is_empty()),
        Ok(mapping) => {
            let type_name = "sensor_msgs/msg/Image".parse().unwrap();
            for topic in ["/pose", "/robot_1/camera/image_raw", "/tf"] {
                let _ = mapping.rule_for(topic, &type_name);
                let _ = mapping.excludes(topic);
            }
            let _ = mapping.resolve("/robot", "bridge");
        }
    }
}

/// Lines that are rows or not. A row that is written comes back as it was.
pub fn json_rows(data: &[u8]) {
    let mut parser = RowParser::default();
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(row) = parser.row(line, &Columns::All) else { continue };
        let mut text = Vec::new();
        JsonWriter::new(&mut text, NonFinite::Tokens).row("timestamp", row.ts, &row.fields);
        let again = RowParser::default().row(&text, &Columns::All);
        let again =
            again.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&text)));
        // As text: NaN is not equal to itself.
        assert_eq!(format!("{again:?}"), format!("{row:?}"));
        let named = parser.row(line, &Columns::Named(vec!["a".to_owned()]));
        assert_eq!(named.unwrap().ts, row.ts);
    }
}

/// A bag of any kind, imported.
pub fn bag(data: &[u8]) {
    static MAPPING: LazyLock<Mapping> = LazyLock::new(|| {
        Mapping::parse("topics: [{topic: /*, stamp: receive}]", "fuzz.yaml").unwrap()
    });
    let folder = folder();
    let path = folder.path().join("bag");
    fs::write(&path, data).unwrap();
    let options = Options::local(folder.path().join("root"));
    let mut recorder = Recorder::new(Experiment::open("a/b/c", options).unwrap());
    if let Ok(bags) = Bags::open([&path]) {
        let definitions = Definitions::default();
        let go_on = |_| ControlFlow::Continue(());
        // An error names what was wrong; what came before it is there.
        let _ = bags.decoders(0).import(&MAPPING, &definitions, &mut recorder, go_on);
    }
    let (account, closed) = recorder.finish(None);
    closed.unwrap();
    assert!(account.adds_up(), "{account:?}");
    assert_eq!(fs::read(&path).unwrap(), data, "a bag is never written to");
}

/// A server's file of tokens.
pub fn token_file(data: &[u8]) {
    let folder = folder();
    let path = folder.path().join("tokens");
    fs::write(&path, data).unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    match Server::bind(&folder.path().join("root"), address, &path, Limits::default()) {
        Ok(server) => drop(server),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

const TOKEN: &str = "t0ken";

/// A server in this process, and its root.
static SERVER: LazyLock<(Client, PathBuf)> = LazyLock::new(|| {
    let folder = folder().keep();
    let root = folder.join("root");
    let tokens = folder.join("tokens");
    fs::write(&tokens, format!("alice {TOKEN}\n")).unwrap();
    let server =
        Server::bind(&root, "127.0.0.1:0".parse().unwrap(), &tokens, Limits::default()).unwrap();
    let address = server.address().to_string();
    std::thread::spawn(move || server.run(std::future::pending()));
    let client = Client::new(&address, TOKEN);
    let node = serde_json::json!({"type": "EXPERIMENT", "name": "run", "projectSlug": "w"});
    assert_eq!(client.post("/api/namespaces/alice/nodes", &node).status, 200);
    (client, folder)
});

/// A query, as the SDK sends it.
pub fn graphql(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let answer = SERVER.0.post(
        "/graphql",
        &serde_json::json!({ "query": text, "variables": {"namespaceSlug": "alice"} }),
    );
    assert!(answer.status < 500, "{} {}", answer.status, answer.text());
}

/// The first byte chooses an endpoint, then comes the path's or query's own part up to a line end, then the body.
pub fn requests(data: &[u8]) {
    const ENDPOINTS: [(&str, &str, &str); 12] = [
        ("POST", "/graphql", "application/json"),
        ("POST", "/api/namespaces/alice/nodes", "application/json"),
        ("POST", "/api/namespaces/alice/nodes", "multipart/form-data; boundary=b"),
        ("GET", "/api/nodes/", ""),
        ("PATCH", "/api/nodes/node~~alice~~w~~run", "application/json"),
        ("DELETE", "/api/nodes/file~~alice~~w~~run~~", ""),
        ("GET", "/api/search/files?", ""),
        ("POST", "/api/experiments/experiment~~alice~~w~~run/tracks", "application/json"),
        (
            "POST",
            "/api/experiments/experiment~~alice~~w~~run/tracks/arm/append",
            "application/json",
        ),
        (
            "POST",
            "/api/experiments/experiment~~alice~~w~~run/tracks/arm/append_batch",
            "application/json",
        ),
        ("GET", "/api/experiments/experiment~~alice~~w~~run/tracks/arm/data?", ""),
        ("POST", "/api/experiments/experiment~~alice~~w~~run/tracks/", "application/json"),
    ];
    let Some((choice, rest)) = data.split_first() else { return };
    let (own, body) = match rest.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, &b""[..]),
    };
    let (client, folder) = &*SERVER;
    let (method, path, content_type) = ENDPOINTS[usize::from(*choice) % ENDPOINTS.len()];
    // What no request line can hold is no business of the endpoints.
    let own: String =
        own.iter().filter(|byte| byte.is_ascii_graphic()).map(|byte| char::from(*byte)).collect();
    let headers = [format!("Content-Type: {content_type}")];
    let headers: Vec<&str> =
        headers.iter().filter(|_| !content_type.is_empty()).map(String::as_str).collect();
    let answer = client.send(method, &format!("{path}{own}"), &headers, body);
    assert!(answer.status < 500, "{method} {path}{own}: {} {}", answer.status, answer.text());
    // Nothing leaves the root, or another namespace than the token's.
    let names = |folder: &PathBuf| -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with('.'))
            .collect()
    };
    assert_eq!(names(&folder.join("root")), ["alice"]);
    assert_eq!(names(folder).len(), 2);
}

/// Rows through a track and a Parquet file, and back.
pub fn parquet(data: &[u8]) {
    let folder = folder();
    let exp = Experiment::open("a/b/c", Options::local(folder.path())).unwrap();
    let track = exp.tracks("arm");
    let mut parser = RowParser::default();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let Ok(row) = parser.row(line, &Columns::All) else { continue };
        // Refused or not, with the reason; which is other tests' business.
        let _ = track.append_row(row);
    }
    if exp.flush().is_err() || exp.list().unwrap().is_empty() {
        return;
    }
    let rows = track.read(&Query::all()).unwrap();
    match track.export(&Query::all(), Format::Parquet) {
        Ok(table) => ParquetTable::read(&table).assert_holds(&rows),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
