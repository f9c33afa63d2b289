use super::*;

fn type_of(values: &[&str]) -> ColumnType {
    let kind = kind_of(values);
    for at in 0..=values.len() {
        let mut merged = kind_of(&values[..at]);
        merged.merge(kind_of(&values[at..]));
        assert_eq!(merged, kind, "{values:?} parted at {at}");
    }
    kind.column_type()
}

fn kind_of(values: &[&str]) -> Kind {
    let mut kind = Kind::default();
    for value in values {
        let mut scanner = Scanner::new(value.as_bytes());
        kind.note(&mut scanner).unwrap();
        assert_eq!((scanner.peek(), scanner.at()), (None, value.len()));
    }
    kind
}

fn list(items: ColumnType) -> ColumnType {
    ColumnType::List(Box::new(items))
}

#[test]
fn integers_widen_to_floats_where_that_is_exact() {
    assert_eq!(type_of(&["1", "-2"]), ColumnType::Int);
    assert_eq!(type_of(&["9007199254740992", "0.5"]), ColumnType::Float);
    assert_eq!(type_of(&["NaN", "-9007199254740993"]), ColumnType::Json);
    assert_eq!(type_of(&["-Infinity", "1e3", "7"]), ColumnType::Float);
}

#[test]
fn integers_beyond_i64_are_unsigned_unless_some_are_negative() {
    assert_eq!(type_of(&["18446744073709551615", "0"]), ColumnType::UInt);
    assert_eq!(type_of(&["18446744073709551615", "-1"]), ColumnType::Json);
    assert_eq!(type_of(&["18446744073709551616"]), ColumnType::Float);
}

#[test]
fn nulls_and_empty_lists_fit_every_kind() {
    assert_eq!(type_of(&["null", "[]", "[1.5, null]", "null"]), list(ColumnType::Float));
    assert_eq!(type_of(&["null"]), ColumnType::Null);
    assert_eq!(type_of(&["[]"]), list(ColumnType::Null));
}

#[test]
fn lists_are_typed_down_to_their_numbers() {
    assert_eq!(type_of(&["[[1, 2], null]", "[[0.5]]"]), list(list(ColumnType::Float)));
    assert_eq!(type_of(&["[true]"]), list(ColumnType::Bool));
}

#[test]
fn dicts_in_lists_are_a_union_of_their_keys() {
    let expected = vec![("id".into(), ColumnType::Float), ("score".into(), ColumnType::Float)];
    let rows = [r#"[{"id": 1}, {"score": 0.5}]"#, r#"[{"id": 2.5}]"#];
    assert_eq!(type_of(&rows), list(ColumnType::Dict(expected)));
}

#[test]
fn values_without_a_common_type_are_json() {
    for values in [["1", r#""a""#], [r#"[1, "a"]"#, "null"], ["[1]", "1"], ["{}", "null"]] {
        assert_eq!(type_of(&values), ColumnType::Json, "{values:?}");
    }
}

#[test]
fn dicts_whose_keys_are_many_or_come_twice_are_json() {
    assert_eq!(type_of(&[r#"[{"a": 1, "a": 2}]"#]), ColumnType::Json);
    let keys: Vec<String> = (0..=MAX_DICT_KEYS).map(|i| format!("\"k{i}\": 1")).collect();
    assert_eq!(type_of(&[&format!("{{{}}}", keys.join(","))]), ColumnType::Json);
}

#[test]
fn no_more_keys_are_kept_than_a_type_can_have() {
    let keys = |from: usize| {
        let keys: Vec<_> = (from..from + MAX_DICT_KEYS).map(|i| format!("\"k{i}\":1")).collect();
        format!("{{{}}}", keys.join(","))
    };
    let mut known = Vec::new();
    for (text, fits) in [(keys(0), true), (keys(0), true), (keys(1), false), (keys(9000), false)] {
        let fit = note_dict(&mut known, 1, &mut Jiter::new(text.as_bytes())).unwrap();
        assert_eq!((fit == Keys::Fit, known.len()), (fits, MAX_DICT_KEYS));
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    assert_ne!(type_of(&[&deep(ColumnType::MAX_DEPTH)]), ColumnType::Json);
    assert_eq!(type_of(&[&deep(ColumnType::MAX_DEPTH + 1)]), ColumnType::Json);
}
