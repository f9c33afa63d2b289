//! Bytes that are not what they say they are.

use mldash_bridge::message::{DecodeError, DecodeProblem, Decoder, Layout};

use super::encoder::{ByteOrder, Encoder, encode};
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
fn up_to_three_bytes_of_padding_may_follow_and_up_to_seven_zeros() {
    let ty = message("a/A", "int8 x");
    for padding in [&[0x77; 3][..], &[0x77], &[], &[0; 4], &[0; 7]] {
        let cdr = encode(|e| e.number([5]).raw(padding));
        assert_eq!(decode(&ty, &everything(), &cdr).len(), 1, "{padding:?}");
    }
    for extra in [&[0x77; 4][..], &[0, 0, 0, 1], &[0, 0, 0, 0, 0, 0, 1], &[0; 8]] {
        let error = error("int8 x", &everything(), &encode(|e| e.raw(&[5]).raw(extra)));
        assert_eq!(error.offset, 5);
        let extra_bytes = extra.len();
        assert_eq!(error.problem, DecodeProblem::TrailingBytes { extra_bytes }, "{extra:?}");
    }
}

/// A wstring of two-byte units, as newer Cyclone DDS writes it: its length counts bytes.
fn two_byte_text<'e>(e: &'e mut Encoder, text: &str) -> &'e mut Encoder {
    let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    e.length(units.len()).raw(&units)
}

/// A wstring of four-byte units, as Fast DDS writes it: its length counts units.
fn four_byte_text<'e>(e: &'e mut Encoder, text: &str) -> &'e mut Encoder {
    let units: Vec<u16> = text.encode_utf16().collect();
    e.length(units.len());
    units.iter().fold(e, |e, unit| e.number(u32::from(*unit).to_le_bytes()))
}

#[test]
fn wstrings_of_two_byte_units_are_told_from_those_of_four() {
    let texts = ["x", "ab", "a\u{20ac}\u{1f600}", "four", "a longer text", ""];
    for definition in
        ["wstring w", "wstring w\nstring s", "wstring w\nfloat64 f", "wstring w\nuint8[] b"]
    {
        let ty = message("a/A", definition);
        for text in texts {
            for write in [two_byte_text, four_byte_text] {
                let mut e = Encoder::new(ByteOrder::Little);
                write(&mut e, text);
                match definition.rsplit(' ').next() {
                    Some("s") => e.text("after"),
                    Some("f") => e.f64s(&[1.5]),
                    Some("b") => e.length(3).raw(&[7, 8, 9]),
                    _ => &mut e,
                };
                let row = &decode(&ty, &everything(), &e.finish())[0];
                assert_eq!(row.fields.get("w"), Some(&text.into()), "{definition}: {text}");
                assert!(!row.repaired_text);
            }
        }
    }
    // Also where they are stepped over.
    let ty = message("a/A", "wstring w\nint32 n");
    let mut e = Encoder::new(ByteOrder::Big);
    let cdr = e.length(6).raw(&[0, b'a', 0, b'b', 0, b'c']).number(5_i32.to_le_bytes()).finish();
    let row = &decode(&ty, &only(&["n"]), &cdr)[0];
    assert_eq!(row.fields, mldash_bridge::fields! { "n": 5 });
    assert_eq!(decode(&ty, &everything(), &cdr)[0].fields.get("w"), Some(&"abc".into()));
}

#[test]
fn a_message_of_four_byte_units_is_one_also_where_units_of_two_would_fit() {
    // Two units and a zero; or one unit and, behind what the other takes, zeros that could be padding.
    let cdr = encode(|e| four_byte_text(e, "ab").number(0_i32.to_le_bytes()));
    let row = &decode(&message("a/A", "wstring w\nint32 n"), &everything(), &cdr)[0];
    assert_eq!(row.fields, mldash_bridge::fields! { "w": "ab", "n": 0 });
}

#[test]
fn bytes_that_are_no_message_with_any_kind_of_wstring_say_why_for_both() {
    let error = error("wstring w\nint32 n", &everything(), &encode(|e| e.length(3).raw(&[0; 13])));
    let text = error.to_string();
    assert!(text.contains("field n at byte 20: 4 bytes expected, 1 left"), "{text}");
    assert!(text.contains("units of two bytes, as newer Cyclone DDS writes them"), "{text}");
    assert!(error.two_byte_units.is_some());
}

#[test]
fn a_row_takes_no_more_than_its_bound_whatever_its_bytes_stand_for() {
    let count = 4_usize << 20;
    let cdr = encode(|e| e.length(count).raw(&vec![0; count]));
    let error = error("B[] b\n===\nMSG: a/B\nuint8 x\n", &everything(), &cdr);
    assert!(matches!(error.problem, DecodeProblem::TooLarge { .. }), "{error}");
    // Of the same bytes, what is little is taken.
    let ty = message("a/A", "B[] b\n===\nMSG: a/B\nuint8 x\n");
    let row = &decode(&ty, &only(&["b[:3].x"]), &cdr)[0];
    assert_eq!(row.fields.len(), 1);
    let ty = message("a/A", "uint8[] b");
    assert_eq!(decode(&ty, &everything(), &cdr).len(), 1);
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
