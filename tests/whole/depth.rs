//! What is nested without end: every parser of what comes from outside has a bound, and says so.
//! A stack that overflows would end the process, and with it the recording.

use std::fmt::Debug;

use mldash_bridge::fields;
use mldash_bridge::mapping::Mapping;
use mldash_bridge::message::{FieldPath, MessageType, TypeName};
use mldash_bridge::track::json::{Columns, RowParser};
use mldash_bridge::track::{ColumnType, Experiment, Export, Format, Options, Query, RowSchema};
use serde_json::json;

use crate::http::Client;
use crate::program::program;
use crate::server::{Server, TOKEN};

/// Far more than any stack has room for.
const MANY: usize = 200_000;

fn nested(open: &str, inner: &str, close: &str) -> String {
    format!("{}{inner}{}", open.repeat(MANY), close.repeat(MANY))
}

/// Within the longest query that is read.
fn within_length(open: &str, inner: &str, close: &str) -> String {
    let depth = 60_000 / (open.len() + close.len());
    format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
}

/// The reason for which something is refused.
fn refused<T: Debug, E: ToString>(result: Result<T, E>, what: &str) -> String {
    match result {
        Ok(_) => panic!("{what} is taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn definitions_in_idl() {
    let name: TypeName = "a/msg/A".parse().unwrap();
    let of = |text: &str| MessageType::from_idl_bundle(&name, text);
    let in_struct =
        |member: &str| format!("module a {{ module msg {{ struct A {{ {member} }}; }}; }};");
    let sequences = in_struct(&format!("{} x;", nested("sequence<", "double", ">")));
    assert!(refused(of(&sequences), "sequences").contains("sequences of sequences"));
    let modules = nested("module a { ", "struct A { double x; };", "};");
    assert!(refused(of(&modules), "modules").contains("64"));
    for size in [nested("(", "1", ")"), nested("-", "1", ""), nested("~", "1", "")] {
        let said = refused(of(&in_struct(&format!("double x[{size}];"))), "a size");
        assert!(said.len() < 1000, "{said}");
    }
    let constant = format!("const long N = {};", nested("(", "1", ")"));
    let skipped = of(&format!("{constant}{}", in_struct("double x;")));
    assert_eq!(skipped.unwrap().fields().len(), 1, "what is no size is passed over");
    // Brackets are counted, not nested.
    let annotated = in_struct(&format!("@verbatim {} double x;", nested("(", "a", ")")));
    assert_eq!(of(&annotated).unwrap().fields().len(), 1);
    // In the bytes an array of arrays is one array.
    let arrays = of(&in_struct(&format!("double x{};", "[1]".repeat(MANY))));
    assert_eq!(arrays.unwrap().fields().len(), 1);
    refused(of(&in_struct(&format!("a{}::msg::B x;", "::a".repeat(MANY)))), "a scope");
}

#[test]
fn definitions_in_msg() {
    let name: TypeName = "a/msg/A".parse().unwrap();
    let types: String = (0..10_000).map(|i| format!("T{i} n\n===\nMSG: a/T{i}\n")).collect();
    let said = refused(MessageType::from_bundle(&name, &(types + "int8 x\n")), "messages");
    assert!(said.contains("64 levels of nested messages"), "{said}");
    for field in [format!("int8{} x", "[]".repeat(MANY)), format!("{}B x", "a/".repeat(MANY))] {
        refused(MessageType::from_bundle(&name, &field), "a field");
    }
}

#[test]
fn names_and_paths() {
    refused("a/".repeat(MANY).parse::<TypeName>(), "a type's name");
    // A path is a list, whatever its length; a message lacks what is so deep.
    let path: FieldPath = format!("a{}", ".a".repeat(MANY)).parse().unwrap();
    let ty = MessageType::from_bundle(&"a/msg/A".parse().unwrap(), "int8 a\n").unwrap();
    drop((path, ty));
    refused(nested("a[", "0", "]").parse::<FieldPath>(), "a slice");
}

#[test]
fn mappings() {
    let lists = nested("[", "", "]");
    let dicts = nested("{a: ", "1", "}");
    let blocks = "- ".repeat(MANY);
    let keys = "? ".repeat(MANY);
    for text in [&lists, &dicts, &blocks, &keys] {
        for mapping in [format!("topics: {text}"), format!("metadata: {text}"), text.clone()] {
            let start: String = mapping.chars().take(30).collect();
            refused(Mapping::parse(&mapping, "m.yaml").map(drop), &start);
        }
    }
    let path = format!("topics: [{{topic: /a, stamp: a{}}}]", ".a".repeat(MANY));
    let pattern =
        format!("topics: [{{topic: '{}', track: '{}'}}]", "/**".repeat(3000), "{".repeat(MANY));
    for mapping in [path, pattern] {
        // Taken or not, it ends.
        let _ = Mapping::parse(&mapping, "m.yaml");
    }
}

#[test]
fn rows_of_json() {
    for value in [nested("[", "", "]"), nested("{\"a\":", "1", "}")] {
        let row = format!("{{\"timestamp\": 1, \"a\": {value}}}");
        refused(RowParser::default().row(row.as_bytes(), &Columns::All), "a row");
        let root = tempfile::tempdir().unwrap();
        let row = row.replace("timestamp", "_ts");
        let root = root.path().to_str().unwrap();
        let done = program(["append", "a/b/c", "t", "--root", root]).stdin(row).run();
        assert_eq!(done.code, 1, "{}", done.stderr);
        assert!(done.stderr.len() < 2000, "the row is not repeated whole");
    }
}

/// The deepest row that is taken can be read in every format.
#[test]
fn the_deepest_row_there_is() {
    let root = tempfile::tempdir().unwrap();
    let row = |depth: usize| {
        let value = format!("{}{{\"b\":1}}{}", "[".repeat(depth), "]".repeat(depth));
        format!("{{\"timestamp\": 1, \"a\": {value}}}")
    };
    let parses =
        |depth: usize| RowParser::default().row(row(depth).as_bytes(), &Columns::All).is_ok();
    let deepest = (1..1000).take_while(|depth| parses(*depth)).last().unwrap();
    assert_eq!(deepest, 63, "lists, and a dict in the last of them");
    let exp = Experiment::open("a/b/c", Options::local(root.path())).unwrap();
    let parsed = RowParser::default().row(row(deepest).as_bytes(), &Columns::All).unwrap();
    exp.tracks("t").append(parsed.fields, 1.0).unwrap();
    // Declared as it is, too.
    let deep = (0..100).fold(ColumnType::Int, |items, _| ColumnType::list(items));
    let declared = exp.tracks("declared").with_schema(RowSchema::new("/t").column("a", deep));
    declared.append(fields! { "a": 1 }, 1.0).unwrap();
    exp.close().unwrap();
    let exp = Experiment::open_read_only("a/b/c", root.path()).unwrap();
    for format in Format::ALL {
        let export = exp.tracks("t").export(&Query::all(), Export::from(*format));
        assert!(export.is_ok_and(|bytes| !bytes.is_empty()), "{format:?}");
        let declared = exp.tracks("declared").export(&Query::all(), Export::from(*format));
        assert!(declared.is_ok_and(|bytes| !bytes.is_empty()), "{format:?}");
    }
}

#[test]
fn requests_to_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("dash"));
    let alice = Client::new(&server.address, TOKEN);
    let nodes = "/api/namespaces/alice/nodes";
    let made = alice.post(nodes, &json!({"type": "EXPERIMENT", "name": "run", "projectSlug": "w"}));
    assert_eq!(made.status, 200, "{}", made.text());
    let json_header = ["Content-Type: application/json"];
    let tracks = "/api/experiments/experiment~~alice~~w~~run/tracks";
    for value in [nested("[", "", "]"), nested("{\"a\":", "1", "}")] {
        for (path, body) in [
            (
                nodes.to_owned(),
                format!("{{\"type\":\"EXPERIMENT\",\"name\":\"x\",\"metadata\":{value}}}"),
            ),
            (tracks.to_owned(), format!("{{\"topic\":\"t\",\"metadata\":{value}}}")),
            (
                format!("{tracks}/t/append_batch"),
                format!("{{\"entries\":[{{\"timestamp\":1,\"a\":{value}}}]}}"),
            ),
            (
                "/graphql".to_owned(),
                format!("{{\"query\":\"{{me{{username}}}}\",\"variables\":{value}}}"),
            ),
        ] {
            let answer = alice.send("POST", &path, &json_header, body.as_bytes());
            // What is nested that deeply also weighs more than a request may.
            assert!([400, 413].contains(&answer.status), "{path}: {}", answer.text());
        }
    }
    for query in [
        within_length("{a", "", "}"),
        format!("{{me(a:{}){{username}}}}", within_length("[", "1", "]")),
        format!("{{me(a:{}){{username}}}}", within_length("{a:", "1", "}")),
        format!("query Q($a:{}){{me{{username}}}}", within_length("[", "Int", "]")),
        within_length("{...{", "a", "}}"),
        format!("query Q($a:Int={}){{me{{username}}}}", within_length("[", "1", "]")),
    ] {
        let answer = alice.post("/graphql", &json!({ "query": query }));
        let says_an_error = answer.status == 400 || answer.json()["errors"].is_array();
        assert!(says_an_error, "{}: {}", &query[..20], answer.text());
    }
    let well = alice.post("/graphql", &json!({"query": "{me{username}}"}));
    assert_eq!(well.json()["data"]["me"]["username"], "alice", "it lives");
}
