//! The part of OMG IDL that rosidl takes and writes: a struct's fields out of a text, references to
//! other types unresolved. Annotations, constants and `#include`s are not part of a message's bytes.

mod token;

use std::collections::HashMap;

use super::error::SyntaxProblem;
use super::parse::{RawElement, RawField, SyntaxError};
use super::{Arity, Primitive, TextKind};
use crate::message::type_name::TypeName;
use token::{Kind, Token, Tokens};

/// The member that rosidl gives a struct without any; `.msg` texts don't have it.
const NO_MEMBERS: &str = "structure_needs_at_least_one_member";

/// What a type of a field or a `typedef` stands for.
#[derive(Clone, Debug, PartialEq)]
struct Shape<'a> {
    element: RawElement<'a>,
    arity: Arity,
}

/// The fields of the struct `name` in `text`; `None` when it has no such struct.
pub(super) fn parse<'a>(
    text: &'a str,
    name: &TypeName,
) -> Result<Option<Vec<RawField<'a>>>, SyntaxError> {
    let mut parser = Parser {
        tokens: Tokens::new(text),
        scope: Vec::new(),
        typedefs: HashMap::new(),
        wanted: [name.package(), name.kind(), name.name()],
        found: None,
    };
    parser.definitions()?;
    Ok(parser.found)
}

struct Parser<'a, 'n> {
    tokens: Tokens<'a>,
    /// The modules around.
    scope: Vec<&'a str>,
    /// By their names without scope: rosidl makes those unique within a file.
    typedefs: HashMap<&'a str, Shape<'a>>,
    wanted: [&'n str; 3],
    found: Option<Vec<RawField<'a>>>,
}

impl<'a> Parser<'a, '_> {
    /// Definitions until the end of the module or the text.
    fn definitions(&mut self) -> Result<(), SyntaxError> {
        while let Some(token) = self.tokens.next()? {
            match token.text {
                "@" => self.annotation()?,
                ";" => {}
                "}" if self.scope.pop().is_some() => {}
                "module" => {
                    let name = self.identifier("a module's name")?;
                    self.expect("{")?;
                    self.scope.push(name);
                }
                "const" => self.skip_statement()?,
                "typedef" => self.typedef()?,
                "struct" => self.structure()?,
                "enum" | "union" | "bitmask" | "bitset" | "interface" | "valuetype" => {
                    let problem =
                        SyntaxProblem::IdlUnsupported { what: format!("`{}`", token.text) };
                    return Err(token.wrong(problem));
                }
                _ => return Err(token.unexpected("`module`, `struct`, `typedef` or `const`")),
            }
        }
        match self.scope.is_empty() {
            true => Ok(()),
            false => Err(self.tokens.ended("`}`")),
        }
    }

    /// `typedef double double__36[36];`
    fn typedef(&mut self) -> Result<(), SyntaxError> {
        let shape = self.shape()?;
        loop {
            let (name, shape, _) = self.declarator(&shape)?;
            self.typedefs.insert(name, shape);
            if self.next()?.ends_list()? {
                return Ok(());
            }
        }
    }

    fn structure(&mut self) -> Result<(), SyntaxError> {
        let name = self.identifier("a struct's name")?;
        let open = self.next()?;
        match open.text {
            // Only said to be.
            ";" => return Ok(()),
            "{" => {}
            ":" => {
                let what = "structs that inherit".to_owned();
                return Err(open.wrong(SyntaxProblem::IdlUnsupported { what }));
            }
            _ => return Err(open.unexpected("`{`")),
        }
        let mut fields = Vec::new();
        loop {
            let token = self.next()?;
            match token.text {
                "}" => break,
                "@" => self.annotation()?,
                _ => {
                    self.tokens.put_back(token);
                    self.members(&mut fields)?;
                }
            }
        }
        if matches!(&fields[..], [only] if only.name == NO_MEMBERS) {
            fields.clear();
        }
        let is_wanted = self.scope.iter().chain([&name]).eq(&self.wanted);
        if is_wanted && self.found.is_none() {
            self.found = Some(fields);
        }
        Ok(())
    }

    /// `sequence<double, 3> a, b;`
    fn members(&mut self, fields: &mut Vec<RawField<'a>>) -> Result<(), SyntaxError> {
        let shape = self.shape()?;
        loop {
            let (name, Shape { element, arity }, line) = self.declarator(&shape)?;
            if fields.iter().any(|field| field.name == name) {
                let problem = SyntaxProblem::DuplicateField { name: name.to_owned() };
                return Err(SyntaxError { line, problem });
            }
            fields.push(RawField { name, element, arity, line });
            if self.next()?.ends_list()? {
                return Ok(());
            }
        }
    }

    /// A name, of an array where sizes follow.
    fn declarator(
        &mut self,
        shape: &Shape<'a>,
    ) -> Result<(&'a str, Shape<'a>, usize), SyntaxError> {
        let line = self.tokens.line();
        let name = self.identifier("a name")?;
        let mut shape = shape.clone();
        while let Some(open) = self.tokens.next_if("[")? {
            let size = self.size()?;
            self.expect("]")?;
            shape.arity = match shape.arity {
                Arity::One => Arity::Fixed(size),
                Arity::Fixed(_) | Arity::Variable { .. } => {
                    let what = "arrays of arrays".to_owned();
                    return Err(open.wrong(SyntaxProblem::IdlUnsupported { what }));
                }
            };
        }
        Ok((name, shape, line))
    }

    fn shape(&mut self) -> Result<Shape<'a>, SyntaxError> {
        let token = self.next()?;
        let one = |element| Ok(Shape { element, arity: Arity::One });
        let number = |primitive| one(RawElement::Primitive(primitive));
        match token.text {
            "sequence" => self.sequence(),
            "string" => self.text(TextKind::Narrow),
            "wstring" => self.text(TextKind::Wide),
            "boolean" => number(Primitive::Bool),
            "octet" | "char" | "uint8" => number(Primitive::U8),
            "int8" => number(Primitive::I8),
            "short" | "int16" => number(Primitive::I16),
            "uint16" => number(Primitive::U16),
            "int32" => number(Primitive::I32),
            "uint32" => number(Primitive::U32),
            "int64" => number(Primitive::I64),
            "uint64" => number(Primitive::U64),
            "float" => number(Primitive::F32),
            "double" => number(Primitive::F64),
            "long" => match (self.tokens.next_if("long")?, self.tokens.next_if("double")?) {
                (None, None) => number(Primitive::I32),
                (Some(_), None) => number(Primitive::I64),
                (_, Some(double)) => {
                    let what = "`long double`".to_owned();
                    Err(double.wrong(SyntaxProblem::IdlUnsupported { what }))
                }
            },
            "unsigned" => match self.next()? {
                token if token.text == "short" => number(Primitive::U16),
                token if token.text == "long" => match self.tokens.next_if("long")? {
                    None => number(Primitive::U32),
                    Some(_) => number(Primitive::U64),
                },
                token => Err(token.unexpected("`short` or `long`")),
            },
            "wchar" | "fixed" | "map" | "any" | "Object" => {
                let what = format!("`{}`", token.text);
                Err(token.wrong(SyntaxProblem::IdlUnsupported { what }))
            }
            _ if token.kind == Kind::Word => self.named(token),
            _ => Err(token.unexpected("a type")),
        }
    }

    /// `<double>`, `<string<5>, 3>`
    fn sequence(&mut self) -> Result<Shape<'a>, SyntaxError> {
        let open = self.expect("<")?;
        let Shape { element, arity } = self.shape()?;
        if arity != Arity::One {
            let what = "sequences of sequences".to_owned();
            return Err(open.wrong(SyntaxProblem::IdlUnsupported { what }));
        }
        let max = match self.tokens.next_if(",")? {
            Some(_) => Some(self.size()?),
            None => None,
        };
        self.expect(">")?;
        Ok(Shape { element, arity: Arity::Variable { max } })
    }

    fn text(&mut self, kind: TextKind) -> Result<Shape<'a>, SyntaxError> {
        if self.tokens.next_if("<")?.is_some() {
            self.size()?;
            self.expect(">")?;
        }
        Ok(Shape { element: RawElement::Text(kind), arity: Arity::One })
    }

    /// `std_msgs::msg::Header`, or a name of this file.
    fn named(&mut self, first: Token<'a>) -> Result<Shape<'a>, SyntaxError> {
        let mut parts = vec![first.text];
        while self.tokens.next_if("::")?.is_some() {
            parts.push(self.identifier("a name")?);
        }
        let is_of_this_file = parts.len() == 1 || self.scope.starts_with(&parts[..parts.len() - 1]);
        if let Some(shape) = parts.last().filter(|_| is_of_this_file)
            && let Some(known) = self.typedefs.get(shape)
        {
            return Ok(known.clone());
        }
        let (package, name) = match parts[..] {
            [name] => (None, name),
            [package, "msg", name] => (Some(package), name),
            _ => {
                let ty = parts.join("::");
                return Err(first.wrong(SyntaxProblem::IdlType { ty }));
            }
        };
        Ok(Shape { element: RawElement::Message { package, name }, arity: Arity::One })
    }

    /// `@verbatim (language="comment", text="…" "…")`, `@key`
    fn annotation(&mut self) -> Result<(), SyntaxError> {
        self.identifier("an annotation's name")?;
        while self.tokens.next_if("::")?.is_some() {
            self.identifier("an annotation's name")?;
        }
        let mut open = usize::from(self.tokens.next_if("(")?.is_some());
        while open > 0 {
            match self.next()?.text {
                "(" => open += 1,
                ")" => open -= 1,
                _ => {}
            }
        }
        Ok(())
    }

    fn skip_statement(&mut self) -> Result<(), SyntaxError> {
        while self.next()?.text != ";" {}
        Ok(())
    }

    fn size(&mut self) -> Result<usize, SyntaxError> {
        let token = self.next()?;
        let size = token.text.parse().ok().filter(|size| *size > 0);
        size.ok_or_else(|| token.unexpected("a size of at least 1"))
    }

    fn identifier(&mut self, expected: &str) -> Result<&'a str, SyntaxError> {
        match self.next()? {
            Token { kind: Kind::Word, text, .. } => Ok(text),
            token => Err(token.unexpected(expected)),
        }
    }

    fn expect(&mut self, text: &str) -> Result<Token<'a>, SyntaxError> {
        let token = self.next()?;
        if token.text == text { Ok(token) } else { Err(token.unexpected(&format!("`{text}`"))) }
    }

    fn next(&mut self) -> Result<Token<'a>, SyntaxError> {
        self.tokens.next()?.ok_or_else(|| self.tokens.ended("more of a definition"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<String> {
        let fields = parse(text, &"demo/msg/T".parse().unwrap()).unwrap().unwrap();
        let shown =
            |f: RawField<'_>| format!("{} {:?} {:?} {}", f.name, f.element, f.arity, f.line);
        fields.into_iter().map(shown).collect()
    }

    fn within(body: &str) -> String {
        format!("module demo {{ module msg {{\n{body}\n}}; }};\n")
    }

    fn problem(body: &str) -> (usize, String) {
        let error = parse(&within(body), &"demo/msg/T".parse().unwrap()).unwrap_err();
        (error.line, error.problem.to_string())
    }

    #[test]
    fn what_rosidl_writes_is_understood() {
        let text = r#"
// generated from rosidl_adapter/resource/msg.idl.em
#include "std_msgs/msg/Header.idl"

module demo {
  module msg {
    typedef double double__9[9];
    typedef demo::msg::Part demo__msg__Part__2[2];
    module T_Constants {
      @verbatim (language="comment", text="a } in (a) \"text\"" "and // another")
      const octet STATUS = 0;
      const string NAME = "struct T { double x; };";
    };
    @verbatim (language="comment", text=
      "what it is")
    struct T {
      std_msgs::msg::Header header;
      @unit (value="m") @key
      double__9 k;
      sequence<uint8> data;
      sequence<string<5>, 3> names;
      wstring<7> wide;
      demo::msg::demo__msg__Part__2 pair; /* a comment
      over lines */ unsigned long long big, bigger;
      Part part;
      long counts[4];
    };
  };
};
"#;
        let header = RawElement::Message { package: Some("std_msgs"), name: "Header" };
        let part = RawElement::Message { package: Some("demo"), name: "Part" };
        let own = RawElement::Message { package: None, name: "Part" };
        let number = RawElement::Primitive;
        let shown = [
            ("header", header, Arity::One, 17),
            ("k", number(Primitive::F64), Arity::Fixed(9), 19),
            ("data", number(Primitive::U8), Arity::Variable { max: None }, 20),
            ("names", RawElement::Text(TextKind::Narrow), Arity::Variable { max: Some(3) }, 21),
            ("wide", RawElement::Text(TextKind::Wide), Arity::One, 22),
            ("pair", part, Arity::Fixed(2), 23),
            ("big", number(Primitive::U64), Arity::One, 24),
            ("bigger", number(Primitive::U64), Arity::One, 24),
            ("part", own, Arity::One, 25),
            ("counts", number(Primitive::I32), Arity::Fixed(4), 26),
        ]
        .map(|(name, element, arity, line)| format!("{name} {element:?} {arity:?} {line}"));
        assert_eq!(fields(text), shown);
    }

    #[test]
    fn a_struct_that_only_rosidl_gave_a_member_has_none() {
        let text = within("struct T { uint8 structure_needs_at_least_one_member; };");
        assert_eq!(fields(&text), Vec::<String>::new());
    }

    #[test]
    fn of_several_structs_the_wanted_one_is_taken() {
        let text = within("struct Other { double x; };\nstruct T { float y; };");
        assert_eq!(fields(&text), ["y Primitive(F32) One 3"]);
        assert_eq!(parse(&text, &"demo/msg/Gone".parse().unwrap()), Ok(None));
    }

    #[test]
    fn what_is_wrong_or_has_no_ros_type_is_named_by_line() {
        for (body, line, words) in [
            ("struct T {\n double x, x; };", 3, "`x` is there twice"),
            ("enum E { A };", 2, "`enum`"),
            ("struct T { long double x; };", 2, "`long double`"),
            ("struct T { sequence<sequence<double>> x; };", 2, "sequences of sequences"),
            ("struct T { double x[2][3]; };", 2, "arrays of arrays"),
            ("struct T { double\nx[0]; };", 3, "a size of at least 1"),
            ("struct T : Base { double x; };", 2, "inherit"),
            ("struct T { a::b::c::D x; };", 2, "`a::b::c::D`"),
            ("struct T { double 9x; };", 2, "`9x`"),
            ("struct T { double x; /* no end", 2, "end of a comment"),
            ("const string S = \"no end;\n", 2, "end of a text"),
        ] {
            let (at, message) = problem(body);
            assert!(at == line && message.contains(words), "{body}: {at}: {message}");
        }
    }

    #[test]
    fn an_end_too_early_is_told() {
        let error = parse("module demo {", &"demo/msg/T".parse().unwrap()).unwrap_err();
        assert!(error.problem.to_string().contains("ends"), "{}", error.problem);
    }
}
