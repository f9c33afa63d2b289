//! Rows back to bytes: what a message was is what its row becomes.

use std::sync::Arc;

use mldash_bridge::message::{
    Decoder, EncodeProblem, Encoder, Layout, MessageType, NotWhole, StampSource,
};
use mldash_bridge::track::json::{Columns, JsonWriter, NonFinite, RowParser};
use mldash_bridge::track::{Fields, Timestamp, Value, fields};
use proptest::prelude::*;

use super::encoder;
use super::model::{any_message, definition, encode_fields};
use super::{captured, decode, each, everything, message, only, stamp};

const HEADER: &str = "===\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n";
const TIME: &str = "===\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n";

/// The bytes of a message's rows.
fn encoded(ty: &Arc<MessageType>, layout: &Layout, cdr: &[u8]) -> Vec<Vec<u8>> {
    let encoder = Encoder::compile(ty, layout).unwrap();
    let rows = decode(ty, layout, cdr);
    let bytes = rows.iter().map(|row| {
        let mut cdr = Vec::new();
        encoder.encode(&row.fields, row.stamp_nanos.unwrap_or_default(), &mut cdr).unwrap();
        cdr
    });
    bytes.collect()
}

/// A row as it comes back from the store.
fn stored(fields: &Fields) -> Fields {
    let mut text = Vec::new();
    let ts = Timestamp::new(1.0).unwrap();
    JsonWriter::new(&mut text, NonFinite::Tokens).row("timestamp", ts, fields);
    RowParser::default().row(&text, &Columns::All).unwrap().fields
}

fn encode(ty: &Arc<MessageType>, row: &Fields) -> Result<Vec<u8>, String> {
    let mut cdr = Vec::new();
    let encoder = Encoder::compile(ty, &everything()).unwrap();
    match encoder.encode(row, 0, &mut cdr) {
        Ok(()) => Ok(cdr),
        Err(error) => {
            assert!(cdr.is_empty());
            Err(error.to_string())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_bytes_of_a_row_are_those_that_it_was_decoded_from(
        (fields, held) in any_message(),
        (sec, nanosec) in (any::<i32>(), 0..1_000_000_000u32),
        frame in "[a-zé/]{0,6}",
        has_header in any::<bool>(),
    ) {
        let mut text = definition(&fields);
        let mut cdr = encoder::Encoder::of_ros();
        if has_header {
            text = format!("std_msgs/Header header\n{text}{HEADER}{TIME}");
            cdr.header(sec, nanosec, &frame);
        }
        if !has_header || !fields.is_empty() {
            encode_fields(&mut cdr, &fields, &held);
        }
        let cdr = cdr.finish();
        let ty = message("model/Root", &text);

        prop_assert_eq!(&encoded(&ty, &everything(), &cdr), std::slice::from_ref(&cdr));
        let aside = Layout { stamp: StampSource::Aside, ..everything() };
        prop_assert_eq!(&encoded(&ty, &aside, &cdr), std::slice::from_ref(&cdr));

        // And once more, by the text of the store and that of the definition.
        let row = stored(&decode(&ty, &aside, &cdr)[0].fields);
        let written = message("model/Root", &ty.to_bundle());
        let mut again = Vec::new();
        Encoder::compile(&written, &aside).unwrap().encode(&row, 0, &mut again).unwrap();
        prop_assert_eq!(again, cdr);
    }

    #[test]
    fn each_element_becomes_a_message_with_this_element(
        (fields, held) in any_message(),
        stamps in prop::collection::vec((any::<i32>(), 0..1_000_000_000u32), 0..3),
    ) {
        let element = format!("std_msgs/Header header\n{}{HEADER}{TIME}", definition(&fields));
        let ty = message("model/Root", &format!("Element[] all\n===\nMSG: model/Element\n{element}"));
        let with = |stamps: &[(i32, u32)]| {
            let mut cdr = encoder::Encoder::of_ros();
            cdr.length(stamps.len());
            for (sec, nanosec) in stamps {
                cdr.header(*sec, *nanosec, "base");
                if !fields.is_empty() {
                    encode_fields(&mut cdr, &fields, &held);
                }
            }
            cdr.finish()
        };

        let bytes = encoded(&ty, &each("all", everything()), &with(&stamps));

        let alone: Vec<_> = stamps.iter().map(|stamp| with(&[*stamp])).collect();
        prop_assert_eq!(bytes, alone);
    }
}

#[test]
fn what_ros_wrote_is_written_again_up_to_what_lies_in_its_padding() {
    for captured in [
        captured::POSE,
        captured::JOINTS,
        captured::CAMERA,
        captured::TF,
        captured::SCAN,
        captured::CLOUD,
        captured::DIAG,
        captured::PARAM,
        captured::JOY,
        captured::EMPTY,
        captured::TRAJ,
        captured::WIDE,
        captured::NEST,
    ] {
        let (ty, bytes) = (message(captured.ty, captured.definition), captured.bytes());
        let again = encoded(&ty, &everything(), &bytes).remove(0);
        assert_eq!(decode(&ty, &everything(), &again), decode(&ty, &everything(), &bytes));
        // rmw_serialize overestimates the lengths of empty arrays and of each wstring.
        assert!((again.len()..again.len() + 64).contains(&bytes.len()), "{}", captured.ty);
        let differ = again.iter().zip(&bytes).filter(|(written, was)| written != was);
        assert!(differ.clone().all(|(written, _)| *written == 0), "{}: {differ:?}", captured.ty);
    }
}

#[test]
fn numbers_of_the_store_are_those_of_the_message_inf_and_nan_too() {
    let ty = message("a/A", "float32[] f\nfloat64[] d\nuint64 big\nint64 small\nfloat64 whole");
    let cdr = encoder::encode(|e| {
        e.length(5);
        for f in [0.1f32, f32::INFINITY, f32::NAN, -0.0, f32::MIN_POSITIVE / 8.0] {
            e.number(f.to_le_bytes());
        }
        e.length(4).f64s(&[f64::NEG_INFINITY, f64::NAN, 1e300, 5e-324]);
        e.number(u64::MAX.to_le_bytes()).number(i64::MIN.to_le_bytes()).f64s(&[1e15])
    });
    let cdr: Vec<u8> = cdr.iter().map(|byte| if *byte == 0xAA { 0 } else { *byte }).collect();
    let row = stored(&decode(&ty, &everything(), &cdr)[0].fields);
    assert_eq!(encode(&ty, &row).unwrap(), cdr);
}

#[test]
fn a_byte_array_that_is_in_a_file_is_given_as_bytes() {
    let ty = message("a/A", "int16 x\nuint8[] data\nint16 y");
    let row =
        fields! { "y": 2, "data": Value::Bytes(vec![7, 8, 9]), "x": 1, "path": "a/000000.bin" };
    let cdr = [0, 1, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 7, 8, 9, 0, 2, 0];
    assert_eq!(encode(&ty, &row).unwrap(), cdr);
}

#[test]
fn a_row_that_does_not_fit_says_where_and_why() {
    let ty = message(
        "a/A",
        "int8 small\nfloat32 f\nint8[<=2] few\ngeometry_msgs/Point at\nB[] bs\n===\nMSG: a/B\nstring s\n\
         ===\nMSG: geometry_msgs/Point\nfloat64 x\nfloat64 y\nfloat64 z",
    );
    let good = || {
        let b = Value::Map(vec![("s".into(), "text".into())]);
        fields! { "small": 1, "f": 1, "few": [1, 2], "at": [1.0, 2.5, 3.0], "bs": Value::List(vec![b]) }
    };
    assert!(encode(&ty, &good()).is_ok());
    let with = |column: &str, value: Value| {
        let mut row = good();
        row.insert(column, value);
        encode(&ty, &row).unwrap_err()
    };
    let empty = || Value::Map(Vec::new());
    for (column, value, expected) in [
        ("small", Value::Int(200), "a/msg/A, `small`: 200 is outside of the range of int8"),
        ("small", Value::F64(1.0), "`small`: found a float, and the field is int8"),
        ("f", Value::F64(1e39), "`f`: 1000000000000000000000000000000000000000 is outside"),
        ("few", Value::from(vec![1i8, 2, 3]), "`few`: 3 elements, and the field is int8[<=2]"),
        ("few", Value::from("ab"), "`few`: found a text, and the field is int8[<=2]"),
        (
            "at",
            Value::from(vec![1.0, 2.0]),
            "`at`: 2 elements, and the field is geometry_msgs/msg/Point",
        ),
        ("bs", Value::List(vec![empty()]), "`bs[0].s`: this field of a/msg/B is missing"),
        ("bs", Value::List(vec![Value::Null]), "`bs[0]`: found null, and the field is a/msg/B"),
    ] {
        let error = with(column, value);
        assert!(error.contains(expected), "{error}");
    }
    let mut row = good();
    row.retain(|column| column != "few");
    assert!(encode(&ty, &row).unwrap_err().contains("`few`: the row has no such column"));
}

#[test]
fn a_stamp_beyond_32_bit_seconds_is_refused() {
    let ty = message(
        "std_msgs/Header",
        &format!("builtin_interfaces/Time stamp\nstring frame_id\n{TIME}"),
    );
    let encoder = Encoder::compile(&ty, &everything()).unwrap();
    let row = fields! { "frame_id": "map" };
    let mut cdr = Vec::new();
    let error = encoder.encode(&row, i64::MAX, &mut cdr).unwrap_err();
    assert_eq!(error.problem, EncodeProblem::Stamp { stamp_nanos: i64::MAX });
    encoder.encode(&row, -4_999_999_993, &mut cdr).unwrap();
    assert_eq!(decode(&ty, &everything(), &cdr)[0].stamp_nanos, Some(-4_999_999_993));
}

#[test]
fn a_layout_that_leaves_something_out_has_no_encoder_and_says_what_is_left_out() {
    let ty = message("a/A", "int8 x\nB[] bs\nC c\n===\nMSG: a/B\nint8 y\n===\nMSG: a/C\nB[3] bs");
    let not_whole = |layout: &Layout| Encoder::compile(&ty, layout).unwrap_err();
    assert_eq!(not_whole(&only(&["x"])), NotWhole::Selected);
    let error = not_whole(&each("bs", everything()));
    assert!(error.to_string().ends_with("and the message also has `x`, `c`"), "{error}");
    let ty = message("a/C", "B[3] bs\n===\nMSG: a/B\nint8 y");
    let error = Encoder::compile(&ty, &each("bs", everything())).unwrap_err();
    assert!(error.to_string().contains("exactly 3 elements"), "{error}");
}

#[test]
fn a_stamp_that_is_no_header_stays_a_column_of_its_own() {
    let text = format!("builtin_interfaces/Time at\nint8 x\n{TIME}");
    let ty = message("a/A", &text);
    let layout = stamp("at", everything());
    let encoder = Encoder::compile(&ty, &layout).unwrap();
    assert!(!encoder.has_stamp());
    let cdr = encoder::encode(|e| {
        e.number(7i32.to_le_bytes()).number(8u32.to_le_bytes()).number(9i8.to_le_bytes())
    });
    assert_eq!(encoded(&ty, &layout, &cdr), [cdr]);
    assert!(Decoder::compile(&ty, &layout).unwrap().has_stamp());
}
