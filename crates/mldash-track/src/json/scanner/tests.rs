use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::values::walk_object;
use super::*;

/// The values of a row as text, with their names.
fn walked(
    shape: &mut RowShape<usize>,
    names: &mut Vec<String>,
    row: &str,
) -> Result<Vec<(String, String)>, ScanError> {
    let mut values = Vec::new();
    let known = std::cell::RefCell::new(names);
    shape.walk(
        row.as_bytes(),
        |name| {
            known.borrow_mut().push(name.to_owned());
            Ok(known.borrow().len() - 1)
        },
        |place, scanner| {
            let start = scanner.at();
            scanner.by_jiter(|jiter| jiter.next_skip())?;
            let value = String::from_utf8(scanner.since(start).to_vec()).unwrap();
            values.push((known.borrow()[place].clone(), value));
            Ok(())
        },
    )?;
    Ok(values)
}

#[test]
fn rows_are_read_alike_whatever_rows_were_read_before() {
    let rows = [
        r#"{"timestamp":1,"a":1,"b":[2, 3]}"#,
        r#"{"timestamp":1,"a":1}"#,
        r#"{"timestamp":1,"b":1,"a":"x,}"}"#,
        r#"{"timestamp": 1, "a": {"b": 2}, "c": null}"#,
        r#"{"a":1,"timestamp":1}"#,
        r#"{"q\"uo":1}"#,
        "{}",
        " { } ",
    ];
    for first in rows {
        for second in rows {
            let alone = walked(&mut RowShape::default(), &mut Vec::new(), second).unwrap();
            let (mut shape, mut names) = (RowShape::default(), Vec::new());
            for row in [first, second] {
                let walked = walked(&mut shape, &mut names, row).unwrap();
                if row == second {
                    assert_eq!(walked, alone, "{second} behind {first}");
                }
            }
        }
    }
    let quoted = walked(&mut RowShape::default(), &mut Vec::new(), rows[5]).unwrap();
    assert_eq!(quoted, [("q\"uo".to_owned(), "1".to_owned())]);
}

#[test]
fn what_is_no_row_is_an_error() {
    for row in ["", "{", "[1]", r#"{"a":1"#, r#"{"a":1}x"#, r#"{"a" 1}"#, r#"{"a":1,}"#, "null"] {
        let walked = walked(&mut RowShape::default(), &mut Vec::new(), row);
        assert!(walked.is_err(), "{row}: {walked:?}");
    }
}

#[test]
fn numbers_are_taken_as_they_stand() {
    let numbers = ["1", "-0.5", "1e-7", "2E+3", "NaN", "Infinity", "-Infinity", "0"];
    let list = format!("[{}]", numbers.join(", "));
    let mut scanner = Scanner::new(list.as_bytes());
    scanner.expect(b'[').unwrap();
    for (i, number) in numbers.iter().enumerate() {
        assert!(scanner.next_item(i == 0, b']').unwrap());
        assert_eq!(scanner.number().unwrap(), number.as_bytes());
    }
    assert!(!scanner.next_item(false, b']').unwrap());
    assert_eq!(Scanner::new(b"\"1\"").number(), Err(ScanError(0)));
    assert_eq!(Scanner::new(b"  null").number(), Err(ScanError(2)));
}

/// What `jiter` finds with `next` at the start of a text, and where that ends.
fn by_jiter<T: PartialEq + std::fmt::Debug>(
    text: &[u8],
    next: impl FnOnce(&mut Jiter<'_>) -> Result<T, JiterError>,
) -> Option<(T, usize)> {
    let mut jiter = reader(text);
    let value = next(&mut jiter).ok()?;
    Some((value, jiter.current_index()))
}

/// What the scanner finds there.
fn scanned<'a, T>(
    text: &'a [u8],
    next: impl FnOnce(&mut Scanner<'a>) -> Result<T, ScanError>,
) -> Option<(T, usize)> {
    let mut scanner = Scanner::new(text);
    let value = next(&mut scanner).ok()?;
    Some((value, scanner.at()))
}

const TEXT_PARTS: &[&[u8]] =
    &[b"\"", b"\\", b"\\n", b"\\u00e5", b"a", b"\n", b"\x7f", b"\xc3\xa5", b"\xe5", b","];

const ROW_PARTS: &[&str] = &[
    "{",
    "}",
    "\"a\":",
    "\"b\" :",
    "\"\\u0061\":",
    "1",
    "[2,3]",
    "{\"c\":\"}\"}",
    ",",
    ",\"a\":1",
    ",\"b\":null",
    "{\"a\":0.5",
    "{\"b\":-1",
    " ",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn the_same_texts_are_numbers_as_to_jiter(
        text in "[-+.0-9eE,NaInfity]{0,8}\
            | ?-?[0-9]{1,25}([.][0-9]{1,20})?(e[-+]?[0-9]{1,3})?",
    ) {
        let text = text.as_bytes();
        let is_all = |(_, end): &(Vec<u8>, usize)| *end == text.len();
        let expected = by_jiter(text, |jiter| jiter.next_number_bytes().map(<[u8]>::to_vec));
        let found = scanned(text, |scanner| scanner.number().map(<[u8]>::to_vec));
        prop_assert_eq!(found.filter(is_all), expected.filter(is_all));
    }

    #[test]
    fn the_same_texts_are_strings_as_to_jiter(
        text in vec(select(TEXT_PARTS), 0..6),
        is_quoted in proptest::bool::weighted(0.9),
    ) {
        let quote = if is_quoted { &b"\""[..] } else { b"" };
        let text = [quote, &text.concat(), quote].concat();
        let expected = by_jiter(&text, |jiter| jiter.next_str().map(str::to_owned));
        let found = scanned(&text, |scanner| scanner.text().map(Cow::into_owned));
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn the_same_texts_are_rows_as_to_jiter(
        rows in vec(vec(select(ROW_PARTS), 0..7), 1..4),
    ) {
        let (mut shape, mut names) = (RowShape::default(), Vec::new());
        for row in rows.iter().map(|parts| parts.concat()) {
            let mut expected = Vec::new();
            let read = walk_object(&mut reader(row.as_bytes()), |jiter, name| {
                jiter.peek()?;
                let start = jiter.current_index();
                jiter.next_skip()?;
                let value = String::from_utf8(jiter.slice_to_current(start).to_vec()).unwrap();
                expected.push((name.to_owned(), value));
                Ok::<_, JiterError>(())
            });
            let expected = read.ok().map(|()| expected);
            prop_assert_eq!(walked(&mut shape, &mut names, &row).ok(), expected, "{}", row);
        }
    }
}

#[test]
fn texts_lose_their_escapes() {
    for (json, text) in [(r#""""#, ""), (r#""plain å""#, "plain å"), (r#" "\u00e5\n""#, "å\n")] {
        assert_eq!(Scanner::new(json.as_bytes()).text().unwrap(), text);
    }
    for torn in [r#""abc"#, r#""ab\""#, "abc"] {
        assert!(Scanner::new(torn.as_bytes()).text().is_err(), "{torn}");
    }
}
