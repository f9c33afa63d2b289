//! Which part of a message becomes which column, name and time.

use mldash_bridge::fields;
use mldash_bridge::message::{ByteArrays, Decoder, Element, Layout, LeftOut, StampSource};
use mldash_bridge::track::{Timestamp, Value};

use super::encoder::{Encoder, encode};
use super::{byte_arrays, columns, decode, each, everything, message, names, only, stamp};

const STAMPED: &str = "std_msgs/Header header\nfloat64 x\n";
const PACKAGES: &str = "\
    ===\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n\
    ===\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n\
    ===\nMSG: geometry_msgs/Point\nfloat64 x\nfloat64 y\nfloat64 z\n\
    ===\nMSG: geometry_msgs/Point32\nfloat32 x\nfloat32 y\nfloat32 z\n";

/// The only row of a message of type `a/A`.
fn row(definition: &str, layout: &Layout, cdr: &[u8]) -> mldash_bridge::message::Element {
    let ty = message("a/A", &format!("{definition}{PACKAGES}"));
    let mut rows = decode(&ty, layout, cdr);
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

fn stamped(sec: i32, nanosec: u32) -> Vec<u8> {
    encode(|e| e.header(sec, nanosec, "map").f64s(&[1.5]))
}

fn secs(secs: f64) -> Option<Timestamp> {
    Some(Timestamp::new(secs).unwrap())
}

#[test]
fn the_header_gives_time_and_frame() {
    let row = row(STAMPED, &everything(), &stamped(3, 500_000_000));
    assert_eq!(row.stamp, secs(3.5));
    assert_eq!(row.fields, fields! { "frame_id": "map", "x": 1.5 });
}

#[test]
fn a_stamp_that_is_not_the_time_stays_a_column() {
    let layout = Layout { stamp: StampSource::None, ..everything() };
    let row = row(STAMPED, &layout, &stamped(3, 4));
    assert_eq!(row.stamp, None);
    assert_eq!(columns(&row), ["header.stamp.sec", "header.stamp.nanosec", "frame_id", "x"]);
}

#[test]
fn the_header_s_stamp_may_be_named_and_be_selected_besides() {
    let named = row(STAMPED, &stamp("header.stamp", everything()), &stamped(3, 0));
    assert_eq!((named.stamp, columns(&named)), (secs(3.0), vec!["frame_id", "x"]));

    let layout = only(&["t=header.stamp", "x", "h=header"]);
    let selected = row(STAMPED, &layout, &stamped(3, 4));
    let expected = fields! { "t.sec": 3, "t.nanosec": 4, "x": 1.5, "h.frame_id": "map" };
    assert_eq!((selected.stamp, selected.fields), (secs(3.000000004), expected));
}

#[test]
fn times_that_nobody_set_or_that_ros_refuses_are_none() {
    for (sec, nanosec) in [(0, 0), (-1, 0), (5, 1_000_000_000), (5, u32::MAX)] {
        assert_eq!(row(STAMPED, &everything(), &stamped(sec, nanosec)).stamp, None);
    }
    assert_eq!(row(STAMPED, &everything(), &stamped(0, 1)).stamp, secs(1e-9));
}

#[test]
fn a_float_may_be_the_time() {
    let at = |x: f64| {
        let cdr = encode(|e| e.f64s(&[x]));
        row("float64 t\n", &stamp("t", everything()), &cdr).stamp
    };
    assert_eq!(at(12.5), secs(12.5));
    assert_eq!(at(-2.0), secs(-2.0));
    for unusable in [0.0, f64::NAN, f64::INFINITY] {
        assert_eq!(at(unusable), None);
    }
    let row = row("float32 t\n", &stamp("t", everything()), &encode(|e| e.number([0, 0, 0, 63])));
    assert_eq!((row.stamp, columns(&row)), (secs(0.5), vec!["t"]));
}

#[test]
fn an_own_frame_id_keeps_its_name() {
    let cdr = encode(|e| e.text("own").header(1, 0, "map"));
    let row = row("string frame_id\nstd_msgs/Header header\n", &everything(), &cdr);
    assert_eq!(row.fields, fields! { "frame_id": "own", "header.frame_id": "map" });
}

#[test]
fn the_frame_may_be_named_like_its_column() {
    let layout = names(&["frame_id"], only(&["frame_id", "x"]));
    let row = row(STAMPED, &layout, &stamped(3, 0));
    assert_eq!(row.fields, fields! { "frame_id": "map", "x": 1.5 });
    assert_eq!(row.names, [Some("map".to_owned())]);
}

#[test]
fn a_header_alone_has_a_time_too() {
    let definition = "builtin_interfaces/Time stamp\nstring frame_id\n";
    let ty = message("std_msgs/Header", &format!("{definition}{PACKAGES}"));
    let rows = decode(&ty, &everything(), &encode(|e| e.header(7, 0, "map")));
    assert_eq!((rows[0].stamp, &rows[0].fields), (secs(7.0), &fields! { "frame_id": "map" }));
}

#[test]
fn other_headers_and_times_are_fields_like_others() {
    let definition = "Header header\nbuiltin_interfaces/Time at\n===\nMSG: a/Header\nint8 x\n";
    let cdr = encode(|e| e.number([1]).number([2, 0, 0, 0]).number([3, 0, 0, 0]));
    let row = row(definition, &everything(), &cdr);
    assert_eq!(row.fields, fields! { "header.x": 1, "at.sec": 2, "at.nanosec": 3 });
    assert_eq!(row.stamp, None);
}

#[test]
fn no_column_hides_the_time_of_the_row() {
    let cdr = encode(|e| e.f64s(&[1.0, 2.0]));
    let row = row("float64 timestamp\nfloat64 timestamp_\n", &everything(), &cdr);
    assert_eq!(row.fields, fields! { "timestamp__": 1.0, "timestamp_": 2.0 });
}

#[test]
fn vectors_are_arrays_wherever_they_are() {
    let definition = "geometry_msgs/Point p\ngeometry_msgs/Point32[] q\n";
    let cdr = encode(|e| {
        e.f64s(&[1.0, 2.0, 3.0]).length(1);
        e.number(4f32.to_le_bytes()).number(5f32.to_le_bytes()).number(6f32.to_le_bytes())
    });
    let all = row(definition, &everything(), &cdr);
    let expected = fields! {
        "p": [1.0, 2.0, 3.0],
        "q": Value::List(vec![[4f32, 5.0, 6.0].into()])
    };
    assert_eq!(all.fields, expected);

    let parts = row(definition, &only(&["z=p.z", "q.y", "q[0].x", "q[0]"]), &cdr);
    let expected = fields! {
        "z": 3.0,
        "q.y": Value::List(vec![Value::F32(5.0)]),
        "q[0].x": 4f32,
        "q[0]": [4f32, 5.0, 6.0]
    };
    assert_eq!(parts.fields, expected);
}

#[test]
fn a_vector_as_a_whole_message_has_a_column_for_each_part() {
    let ty = message("geometry_msgs/Point", "float64 x\nfloat64 y\nfloat64 z\n");
    let rows = decode(&ty, &everything(), &encode(|e| e.f64s(&[1.0, 2.0, 3.0])));
    assert_eq!(rows[0].fields, fields! { "x": 1.0, "y": 2.0, "z": 3.0 });
}

#[test]
fn columns_come_in_the_order_of_the_selection() {
    let cdr = encode(|e| e.f64s(&[1.0, 2.0, 3.0]));
    let row = row("float64 a\nfloat64 b\nfloat64 c\n", &only(&["c", "b", "first=a"]), &cdr);
    assert_eq!(columns(&row), ["c", "b", "first"]);
    assert_eq!(row.fields, fields! { "c": 3.0, "b": 2.0, "first": 1.0 });
}

#[test]
fn one_field_may_go_to_several_columns() {
    let cdr = encode(|e| e.length(3).f64s(&[1.0, 2.0, 3.0]));
    let row = row("float64[] a\n", &only(&["a", "last=a[-1]", "odd=a[::2]", "none=a[5]"]), &cdr);
    let expected = fields! {
        "a": [1.0, 2.0, 3.0],
        "last": 3.0,
        "odd": [1.0, 3.0],
        "none": Value::Null
    };
    assert_eq!(row.fields, expected);
}

const NESTED: &str = "B[] b\nint8 end\n===\nMSG: a/B\nint8[2] n\nC c\n===\nMSG: a/C\nstring s\n";

fn nested() -> Vec<u8> {
    encode(|e| e.length(2).raw(&[1, 2]).text("x").raw(&[3, 4]).text("y").raw(&[9]))
}

#[test]
fn paths_through_arrays_collect_what_the_elements_have() {
    let layout = only(&["b.c.s", "b[:1].n", "b.n[1]", "end"]);
    let expected = fields! {
        "b.c.s": Value::List(vec!["x".into(), "y".into()]),
        "b[:1].n": Value::List(vec![[1i8, 2].into()]),
        "b.n[1]": Value::List(vec![2.into(), 4.into()]),
        "end": 9
    };
    assert_eq!(row(NESTED, &layout, &nested()).fields, expected);
}

#[test]
fn an_element_spreads_into_columns_like_a_message() {
    let row = row(NESTED, &only(&["last=b[-1]", "b[7]"]), &nested());
    let expected = fields! {
        "last.n": [3i8, 4],
        "last.c.s": "y",
        "b[7].n": Value::Null,
        "b[7].c.s": Value::Null
    };
    assert_eq!(row.fields, expected);
}

#[test]
fn names_are_texts_and_integers_of_the_message() {
    let layout = names(&["end", "b[1].c.s", "b[2].c.s"], only(&[]));
    let row = row(NESTED, &layout, &nested());
    assert_eq!(row.names, [Some("9".to_owned()), Some("y".to_owned()), None]);
    assert!(row.fields.is_empty());
}

#[test]
fn paths_under_each_start_at_the_element_or_repeat_the_way_to_it() {
    let definition = "int8 a\nW w\nint8 z\n===\nMSG: a/W\nE[] e\n===\nMSG: a/E\nint8 v\nstring s\n";
    let ty = message("a/A", definition);
    let cdr =
        encode(|e| e.number([1]).length(2).number([2]).text("p").number([3]).text("q").number([4]));
    let layout = names(&["w.e.s"], each("w.e", only(&["v", "s=w.e.s", "all=w.e"])));
    let rows = decode(&ty, &layout, &cdr);
    let expected = fields! { "v": 3, "s": "q", "all.v": 3, "all.s": "q" };
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[1].fields, &rows[1].names), (&expected, &vec![Some("q".to_owned())]));
}

#[test]
fn elements_without_a_time_take_that_of_the_whole_message() {
    let definition =
        format!("E[] e\nstd_msgs/Header header\n===\nMSG: a/E\nstd_msgs/Header header\n{PACKAGES}");
    let ty = message("a/A", &definition);
    let cdr = encode(|e| e.length(2).header(0, 0, "u").header(5, 0, "v").header(9, 0, "whole"));
    let rows = decode(&ty, &each("e", everything()), &cdr);
    let stamps: Vec<_> = rows.iter().map(|row| row.stamp).collect();
    assert_eq!(stamps, [secs(9.0), secs(5.0)]);
}

#[test]
fn no_elements_are_no_rows() {
    let ty = message("a/A", NESTED);
    assert!(decode(&ty, &each("b", everything()), &encode(|e| e.length(0).raw(&[9]))).is_empty());
}

#[test]
fn a_stamp_in_an_array_is_that_of_its_first_element() {
    let definition = "E[] e\n===\nMSG: a/E\nstd_msgs/Header header\n";
    let layout = stamp("e.header.stamp", everything());
    let cdr = encode(|e| e.length(2).header(4, 0, "").header(5, 0, ""));
    assert_eq!(row(definition, &layout, &cdr).stamp, secs(4.0));
    let layout = stamp("e[-1].header.stamp", everything());
    assert_eq!(row(definition, &layout, &cdr).stamp, secs(5.0));
    assert_eq!(row(definition, &layout, &encode(|e| e.length(0))).stamp, None);
}

#[test]
fn whether_a_type_has_a_time_is_known_beforehand() {
    let has_stamp = |definition: &str, layout: &Layout| {
        let ty = message("a/A", &format!("{definition}{PACKAGES}"));
        Decoder::compile(&ty, layout).unwrap().has_stamp()
    };
    assert!(has_stamp(STAMPED, &everything()));
    assert!(!has_stamp(STAMPED, &Layout { stamp: StampSource::None, ..everything() }));
    assert!(!has_stamp("float64 t\n", &everything()));
    assert!(has_stamp("float64 t\n", &stamp("t", everything())));
}

#[test]
fn integers_keep_their_whole_range() {
    let cdr = encode(|e| {
        e.number(u64::MAX.to_le_bytes()).number(7u64.to_le_bytes()).number(i64::MIN.to_le_bytes())
    });
    let row = row("uint64 a\nuint64 b\nint64 c\n", &everything(), &cdr);
    assert_eq!(row.fields, fields! { "a": Value::UInt(u64::MAX), "b": 7, "c": i64::MIN });
}

#[test]
fn byte_arrays_of_variable_length_may_be_left_out_and_are_counted() {
    let definition = "uint8[] a\nbyte[<=9] b\nuint8[2] fixed\nI[] i\n===\nMSG: a/I\nchar[] c\n";
    let mut e = Encoder::new(super::encoder::ByteOrder::Little);
    e.length(3).raw(&[1, 2, 3]).length(1).raw(&[4]).raw(&[5, 6]);
    let cdr = e.length(1).length(2).raw(&[7, 8]).finish();

    let left_out = row(definition, &byte_arrays(ByteArrays::LeaveOut, everything()), &cdr);
    let nothing = Value::List(vec![Value::Map(vec![])]);
    assert_eq!(left_out.fields, fields! { "fixed": [5u8, 6], "i": nothing });
    let arrays = |row: &Element| -> Vec<(Option<String>, Vec<u8>)> {
        let array = |array: &LeftOut| {
            let column =
                array.column.as_ref().map(|column| format!("{}={}", column.name, column.path));
            (column, array.bytes(&cdr).into_owned())
        };
        row.left_out.iter().map(array).collect()
    };
    let named = |name: &str| Some(name.to_owned());
    let all = [(named("a=a"), vec![1, 2, 3]), (named("b=b"), vec![4]), (None, vec![7, 8])];
    assert_eq!(arrays(&left_out), all);

    let limit = ByteArrays::KeepUpTo { max_bytes: 1 };
    let some = byte_arrays(limit, only(&["a[::2]", "a", "a[0]", "b"]));
    let row = row(definition, &some, &cdr);
    assert_eq!(row.fields, fields! { "a[0]": 1, "b": [4u8] });
    assert_eq!(arrays(&row), [(named("a[::2]=a"), vec![1, 3]), (named("a=a"), vec![1, 2, 3])]);
    assert_eq!((row.left_out[0].len(), row.left_out[0].place()), (2, None));
    assert_eq!((row.left_out[1].len(), row.left_out[1].place()), (3, Some(8..11)));
}
