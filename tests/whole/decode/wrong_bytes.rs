//! Bytes that are not what they say they are.

use mldash_bridge::message::{DecodeError, DecodeProblem, Decoder, Layout};

use super::encoder::encode;
use super::{captured, decode, each, everything, message, only};

fn error(definition: &str, layout: &Layout, cdr: &[u8]) -> DecodeError {
    let decoder = Decoder::compile(&message("a/A", definition), layout).unwrap();
    let mut out = vec![];
    let error = decoder.decode(cdr, &mut out).unwrap_err();
    assert!(out.is_empty());
    error
}

#[test]
fn a_length_beyond_the_bytes_is_refused_before_anything_is_allocated() {
    let nested = "B[] x\n===\nMSG: a/B\nstring s\nfloat64[9] n\n";
    let empty = "B[] x\n===\nMSG: a/B\n";
    for definition in
        ["uint8[] x", "float64[] x", "string x", "wstring x", "string[] x", nested, empty]
    {
        let cdr = encode(|e| e.number(u32::MAX.to_le_bytes()).raw(&[0; 64]));
        for layout in [everything(), only(&[])] {
            let error = error(definition, &layout, &cdr);
            assert_eq!((error.field.as_str(), error.offset), ("x", 8), "{definition}");
            assert!(
                matches!(error.problem, DecodeProblem::Length { remaining_bytes: 64, .. }),
                "{definition}: {error}"
            );
        }
    }
}

#[test]
fn fixed_arrays_of_any_size_need_their_bytes() {
    let of_messages = "B[4000000000] x\n===\nMSG: a/B\n";
    let of_arrays = "B[18446744073709551615] x\n===\nMSG: a/B\nfloat64[18446744073709551615] y\n";
    for definition in ["float64[18446744073709551615] x\nint8 y", of_messages, of_arrays] {
        let error = error(definition, &everything(), &encode(|e| e.raw(&[1; 64])));
        assert_eq!(error.field, "x", "{error}");
    }
}

#[test]
fn more_elements_than_the_bound_are_refused() {
    let cdr = encode(|e| e.number([7]).length(3).raw(&[1, 2, 3]));
    let error = error("int8 a\nuint8[<=2] x", &everything(), &cdr);
    assert_eq!((error.field.as_str(), error.offset), ("x", 8));
    assert_eq!(error.problem, DecodeProblem::Bound { length: 3, max: 2 });
}

#[test]
fn the_error_names_the_field_in_its_array_and_the_byte() {
    let captured = captured::TF;
    let bytes = captured.bytes();
    let cut = &bytes[..bytes.len() - 1];
    let decoder =
        |layout| Decoder::compile(&message(captured.ty, captured.definition), &layout).unwrap();
    let mut out = vec![];
    for layout in
        [everything(), only(&["transforms.child_frame_id"]), each("transforms", everything())]
    {
        let error = decoder(layout).decode(cut, &mut out).unwrap_err();
        assert!(error.field.starts_with("transforms[1].transform"), "{error}");
        assert!(error.to_string().starts_with("tf2_msgs/msg/TFMessage, field transforms[1]"));
    }
    let error = decoder(each("transforms", everything())).decode(cut, &mut out).unwrap_err();
    assert_eq!(error.field, "transforms[1].transform.rotation");
    assert_eq!(error.problem, DecodeProblem::Truncated { needed_bytes: 32, remaining_bytes: 31 });
}

#[test]
fn a_field_cut_short_within_a_block_is_the_one_that_is_named() {
    let cdr = encode(|e| e.f64s(&[1.0]).number(2u16.to_le_bytes()).raw(&[0, 0, 1]));
    let error = error("float64 a\nuint16 b\nfloat32 c\nint8 d", &everything(), &cdr);
    assert_eq!((error.field.as_str(), error.offset), ("c", 16));
    assert_eq!(error.problem, DecodeProblem::Truncated { needed_bytes: 4, remaining_bytes: 1 });
}

#[test]
fn other_encodings_are_refused_by_name() {
    for kind in [[0, 2], [0, 3], [0, 6], [0, 7], [0, 0x0b], [1, 0]] {
        let error = error("int8 x", &everything(), &[kind[0], kind[1], 0, 0, 1]);
        assert_eq!(error.problem, DecodeProblem::Encapsulation { kind });
    }
    assert_eq!(
        error("int8 x", &everything(), &[0, 1, 0]).problem,
        DecodeProblem::NoHeader { found: 3 }
    );
}

#[test]
fn a_bool_is_zero_or_one() {
    let cdr = encode(|e| e.number([0]).number([7]));
    let error = error("int8 a\nbool b", &everything(), &cdr);
    assert_eq!((error.field.as_str(), error.offset), ("b", 5));
    assert_eq!(error.problem, DecodeProblem::Bool { found: 7 });
}

#[test]
fn up_to_three_bytes_of_padding_may_follow() {
    let ty = message("a/A", "int8 x");
    for padding in 0..4 {
        let cdr = encode(|e| e.number([5]).raw(&vec![0x77; padding]));
        assert_eq!(decode(&ty, &everything(), &cdr).len(), 1);
    }
    let error = error("int8 x", &everything(), &encode(|e| e.raw(&[5, 0, 0, 0, 0])));
    assert_eq!(error.offset, 5);
    assert_eq!(error.problem, DecodeProblem::TrailingBytes { extra_bytes: 4 });
}

#[test]
fn text_that_is_not_utf_8_is_repaired_and_reported() {
    let ty = message("a/A", "string s\nwstring w\nstring fine");
    let cdr = encode(|e| {
        e.length(3).raw(b"a\xff\0").length(1).number(0xDC00u32.to_le_bytes()).text("ok")
    });
    let row = &decode(&ty, &everything(), &cdr)[0];
    assert_eq!(row.fields.get("s"), Some(&"a\u{fffd}".into()));
    assert_eq!(row.fields.get("w"), Some(&"\u{fffd}".into()));
    assert!(row.repaired_text);
    assert!(!decode(&ty, &only(&["fine"]), &cdr)[0].repaired_text);
}

#[test]
fn texts_may_lack_their_nul_or_their_length() {
    let ty = message("a/A", "string s\nstring t");
    let cdr = encode(|e| e.length(0).length(2).raw(b"ab"));
    let row = &decode(&ty, &everything(), &cdr)[0];
    assert_eq!((row.fields.get("s"), row.fields.get("t")), (Some(&"".into()), Some(&"ab".into())));
}
