//! The `.msg` grammar: reads a text's fields, with unresolved references to other types.

use std::collections::HashSet;

use super::error::SyntaxProblem;
use super::{Arity, Primitive, TextKind};

/// A field, as its line defines it.
#[derive(Debug, PartialEq)]
pub(super) struct RawField<'a> {
    pub(super) name: &'a str,
    pub(super) element: RawElement<'a>,
    pub(super) arity: Arity,
    /// Its line in the text, counted from 1.
    pub(super) line: usize,
}

/// The element of a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RawElement<'a> {
    Primitive(Primitive),
    Text(TextKind),
    Message {
        /// `None`: the package of the definition that refers to it.
        package: Option<&'a str>,
        /// `msg`, `srv` or `action`.
        kind: &'a str,
        name: &'a str,
    },
}

/// What is wrong, and in which line.
#[derive(Debug, PartialEq)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) problem: SyntaxProblem,
}

/// The fields of a definition. Constants and default values don't affect a message's bytes and are
/// skipped.
pub(super) fn parse(text: &str) -> Result<Vec<RawField<'_>>, SyntaxError> {
    let mut fields: Vec<RawField<'_>> = Vec::new();
    let mut names = HashSet::new();
    for (i, text) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = i + 1;
        let wrong = |problem| SyntaxError { line, problem };
        let Some((element, arity, name)) = parse_line(text.trim()).map_err(wrong)? else {
            continue;
        };
        if !names.insert(name) {
            return Err(wrong(SyntaxProblem::DuplicateField { name: name.to_owned() }));
        }
        fields.push(RawField { name, element, arity, line });
    }
    Ok(fields)
}

type ParsedLine<'a> = Option<(RawElement<'a>, Arity, &'a str)>;

/// A field; `None` for an empty line, a comment or a constant.
fn parse_line(line: &str) -> Result<ParsedLine<'_>, SyntaxProblem> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    // A `#` in a default value does not matter, since what follows the name is skipped.
    let end = line.find(|c: char| c.is_whitespace() || c == '#').unwrap_or(line.len());
    let (ty, rest) = (&line[..end], line[end..].trim_start());
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let (element, arity) = parse_type(ty)?;
    let is_constant = rest.trim_start().starts_with('=');
    let ends_well = is_constant || rest.starts_with(|c: char| c.is_whitespace() || c == '#');
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !(rest.is_empty() || ends_well) {
        let after = rest.split(char::is_whitespace).next().unwrap_or_default();
        return Err(SyntaxProblem::FieldName { name: format!("{name}{after}") });
    }
    match element {
        RawElement::Message { .. } if is_constant => {
            Err(SyntaxProblem::ConstantType { ty: ty.to_owned() })
        }
        _ if is_constant => Ok(None),
        element => Ok(Some((element, arity, name))),
    }
}

fn parse_type(text: &str) -> Result<(RawElement<'_>, Arity), SyntaxProblem> {
    let wrong = || SyntaxProblem::Type { ty: text.to_owned() };
    let (element, arity) = match text.strip_suffix(']') {
        None => (text, Arity::One),
        Some(open) => {
            let (element, size) = open.rsplit_once('[').ok_or_else(wrong)?;
            (element, parse_arity(size).ok_or_else(wrong)?)
        }
    };
    let element = match element.split_once("<=") {
        None => parse_element(element),
        Some((kind, max)) => match (kind, positive(max)) {
            ("string", Some(_)) => Some(RawElement::Text(TextKind::Narrow)),
            ("wstring", Some(_)) => Some(RawElement::Text(TextKind::Wide)),
            _ => None,
        },
    };
    Ok((element.ok_or_else(wrong)?, arity))
}

fn parse_arity(size: &str) -> Option<Arity> {
    match size.strip_prefix("<=") {
        Some(max) => Some(Arity::Variable { max: Some(positive(max)?) }),
        None if size.is_empty() => Some(Arity::Variable { max: None }),
        None => positive(size).map(Arity::Fixed),
    }
}

fn positive(number: &str) -> Option<usize> {
    number.parse().ok().filter(|n| *n > 0)
}

fn parse_element(text: &str) -> Option<RawElement<'_>> {
    let element = match text {
        "bool" => RawElement::Primitive(Primitive::Bool),
        "byte" | "char" | "uint8" => RawElement::Primitive(Primitive::U8),
        "int8" => RawElement::Primitive(Primitive::I8),
        "int16" => RawElement::Primitive(Primitive::I16),
        "uint16" => RawElement::Primitive(Primitive::U16),
        "int32" => RawElement::Primitive(Primitive::I32),
        "uint32" => RawElement::Primitive(Primitive::U32),
        "int64" => RawElement::Primitive(Primitive::I64),
        "uint64" => RawElement::Primitive(Primitive::U64),
        "float32" => RawElement::Primitive(Primitive::F32),
        "float64" => RawElement::Primitive(Primitive::F64),
        "string" => RawElement::Text(TextKind::Narrow),
        "wstring" => RawElement::Text(TextKind::Wide),
        // Older definitions have these names. rosidl still accepts them.
        "time" => built_in("Time"),
        "duration" => built_in("Duration"),
        _ => {
            let parts: Vec<&str> = text.split('/').collect();
            let (package, kind, name) = match parts[..] {
                [name] => (None, "msg", name),
                [package, name] => (Some(package), "msg", name),
                // For the last two, only the messages that ROS adds to services and actions exist.
                [package, kind @ ("msg" | "srv" | "action"), name] => (Some(package), kind, name),
                _ => return None,
            };
            let fits = |part: &str| {
                part.starts_with(|c: char| c.is_ascii_alphabetic())
                    && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            };
            if !fits(name) || !package.is_none_or(fits) {
                return None;
            }
            RawElement::Message { package, kind, name }
        }
    };
    Some(element)
}

fn built_in(name: &str) -> RawElement<'_> {
    RawElement::Message { package: Some("builtin_interfaces"), kind: "msg", name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types_and_names(text: &str) -> Vec<(RawElement<'_>, Arity, &str)> {
        parse(text).unwrap().into_iter().map(|f| (f.element, f.arity, f.name)).collect()
    }

    fn problem(text: &str) -> (usize, SyntaxProblem) {
        let error = parse(text).unwrap_err();
        (error.line, error.problem)
    }

    const F64: RawElement<'_> = RawElement::Primitive(Primitive::F64);
    const NARROW: RawElement<'_> = RawElement::Text(TextKind::Narrow);

    #[test]
    fn fields_come_in_order_with_their_types() {
        let text = "float64 x\nfloat64[3]\ty\nfloat64[] z\nfloat64[<=7] w\nwstring s\nOther o\n\
                    pkg/Other[2] p\npkg/msg/Other q\n";
        let other = |package| RawElement::Message { package, kind: "msg", name: "Other" };
        let expected = vec![
            (F64, Arity::One, "x"),
            (F64, Arity::Fixed(3), "y"),
            (F64, Arity::Variable { max: None }, "z"),
            (F64, Arity::Variable { max: Some(7) }, "w"),
            (RawElement::Text(TextKind::Wide), Arity::One, "s"),
            (other(None), Arity::One, "o"),
            (other(Some("pkg")), Arity::Fixed(2), "p"),
            (other(Some("pkg")), Arity::One, "q"),
        ];
        assert_eq!(types_and_names(text), expected);
    }

    #[test]
    fn bounds_of_strings_and_of_their_arrays_are_told_apart() {
        let expected = vec![
            (NARROW, Arity::One, "a"),
            (NARROW, Arity::Variable { max: Some(3) }, "b"),
            (NARROW, Arity::Fixed(2), "c"),
        ];
        assert_eq!(types_and_names("string<=5 a\nstring<=5[<=3] b\nstring<=5[2] c # ok"), expected);
    }

    #[test]
    fn constants_comments_and_empty_lines_are_no_fields() {
        let text = "# a comment\r\n\r\n  \t# indented\r\nint8 STATUS_NO_FIX =  -1  # unable\r\n\
                    string NAME=\"a # b\"\r\nuint8 A=1\r\nfloat64 x#glued\r\n";
        assert_eq!(types_and_names(text), vec![(F64, Arity::One, "x")]);
    }

    #[test]
    fn defaults_may_hold_anything() {
        let text = "string a \"x # y = z\"\nfloat64[3] b [1, 2, 3]\nfloat64 c -1e-3 # = 4\n";
        let names: Vec<_> = parse(text).unwrap().iter().map(|f| f.name).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_first_type() {
        assert_eq!(types_and_names("\u{feff}float64 x"), vec![(F64, Arity::One, "x")]);
    }

    #[test]
    fn wrong_lines_are_named_by_number() {
        let ty = |ty: &str| SyntaxProblem::Type { ty: ty.to_owned() };
        let name = |name: &str| SyntaxProblem::FieldName { name: name.to_owned() };
        assert_eq!(problem("float64 x\n\nfloat64[0] y"), (3, ty("float64[0]")));
        assert_eq!(problem("float64[<=] y"), (1, ty("float64[<=]")));
        assert_eq!(problem("float64<=3 y"), (1, ty("float64<=3")));
        assert_eq!(problem("a/b/c/D y"), (1, ty("a/b/c/D")));
        assert_eq!(problem("float64]] y"), (1, ty("float64]]")));
        assert_eq!(problem("float64"), (1, name("")));
        assert_eq!(problem("float64 # x"), (1, name("#")));
        assert_eq!(problem("float64 9x"), (1, name("9x")));
        assert_eq!(problem("float64 x-y 3"), (1, name("x-y")));
        assert_eq!(
            problem("int8 x\nint16 x"),
            (2, SyntaxProblem::DuplicateField { name: "x".to_owned() })
        );
        assert_eq!(
            problem("Pose ORIGIN=0"),
            (1, SyntaxProblem::ConstantType { ty: "Pose".to_owned() })
        );
    }
}
