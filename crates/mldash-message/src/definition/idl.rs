//! The part of OMG IDL that rosidl accepts and writes. Reads a struct's fields from a text, with
//! unresolved references to other types. Annotations and `#include`s don't affect a message's
//! bytes; constants do only as sizes.

mod constants;
mod token;

use std::collections::{HashMap, HashSet};

use super::error::SyntaxProblem;
use super::parse::{RawElement, RawField, SyntaxError};
use super::{Arity, MAX_NESTED, Primitive, TextKind};
use crate::type_name::TypeName;
use constants::Constants;
use token::{Kind, Token, Tokens};

/// The member that rosidl gives a struct without members. `.msg` texts don't have it.
const NO_MEMBERS: &str = "structure_needs_at_least_one_member";

/// The type of a field or a `typedef`.
#[derive(Clone, Debug, PartialEq)]
struct Shape<'a> {
    element: RawElement<'a>,
    arity: Arity,
}

/// The fields of the struct `name` in `text`; `None` if there is no such struct.
pub(super) fn parse<'a>(
    text: &'a str,
    name: &TypeName,
) -> Result<Option<Vec<RawField<'a>>>, SyntaxError> {
    let mut parser = Parser {
        tokens: Tokens::new(text),
        scope: Vec::new(),
        typedefs: HashMap::new(),
        constants: Constants::default(),
        wanted: [name.package(), name.kind(), name.name()],
        found: None,
    };
    parser.definitions()?;
    Ok(parser.found)
}

struct Parser<'a, 'n> {
    tokens: Tokens<'a>,
    /// The enclosing modules.
    scope: Vec<&'a str>,
    /// By their names without scope: rosidl makes those unique within a file.
    typedefs: HashMap<&'a str, Shape<'a>>,
    constants: Constants<'a>,
    wanted: [&'n str; 3],
    found: Option<Vec<RawField<'a>>>,
}

impl<'a> Parser<'a, '_> {
    /// Reads definitions until the end of the module or the text.
    fn definitions(&mut self) -> Result<(), SyntaxError> {
        while let Some(token) = self.tokens.next()? {
            match token.text {
                "@" => self.annotation()?,
                ";" => {}
                "}" if self.scope.pop().is_some() => {}
                "module" => {
                    let name = self.identifier("a module's name")?;
                    self.expect("{")?;
                    if self.scope.len() >= MAX_NESTED {
                        return Err(token.wrong(SyntaxProblem::TooDeep { limit: MAX_NESTED }));
                    }
                    self.scope.push(name);
                }
                "const" => {
                    let (statement, _) = self.until(";")?;
                    self.constants.define(&self.scope, &statement);
                }
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
            // A declaration only.
            ";" => return Ok(()),
            "{" => {}
            ":" => {
                let what = "structs that inherit".to_owned();
                return Err(open.wrong(SyntaxProblem::IdlUnsupported { what }));
            }
            _ => return Err(open.unexpected("`{`")),
        }
        let mut fields = Vec::new();
        let mut names = HashSet::new();
        loop {
            let token = self.next()?;
            match token.text {
                "}" => break,
                "@" => self.annotation()?,
                _ => {
                    self.tokens.put_back(token);
                    self.members(&mut fields, &mut names)?;
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
    fn members(
        &mut self,
        fields: &mut Vec<RawField<'a>>,
        names: &mut HashSet<&'a str>,
    ) -> Result<(), SyntaxError> {
        let shape = self.shape()?;
        loop {
            let (name, Shape { element, arity }, line) = self.declarator(&shape)?;
            if !names.insert(name) {
                let problem = SyntaxProblem::DuplicateField { name: name.to_owned() };
                return Err(SyntaxError { line, problem });
            }
            fields.push(RawField { name, element, arity, line });
            if self.next()?.ends_list()? {
                return Ok(());
            }
        }
    }

    /// A name, of an array if sizes follow. In the bytes, an array of arrays is one array.
    fn declarator(
        &mut self,
        shape: &Shape<'a>,
    ) -> Result<(&'a str, Shape<'a>, usize), SyntaxError> {
        let line = self.tokens.line();
        let name = self.identifier("a name")?;
        let mut shape = shape.clone();
        while let Some(open) = self.tokens.next_if("[")? {
            let size = self.size("]")?;
            shape.arity = match shape.arity {
                Arity::One => Arity::Fixed(size),
                Arity::Fixed(of) => Arity::Fixed(of.saturating_mul(size)),
                Arity::Variable { .. } => {
                    let what = "arrays of sequences".to_owned();
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
            // A UTF-16 unit: two bytes in Cyclone DDS, and in Fast DDS since ROS 2 Jazzy.
            "uint16" | "wchar" => number(Primitive::U16),
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
            "fixed" | "map" | "any" | "Object" => {
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
        let of_many = |token: Token<'a>| {
            let what = "sequences of sequences or arrays".to_owned();
            Err(token.wrong(SyntaxProblem::IdlUnsupported { what }))
        };
        // Checked before the element is read: that would recurse as deep as a text says.
        if let Some(inner) = self.tokens.next_if("sequence")? {
            return of_many(inner);
        }
        let Shape { element, arity } = self.shape()?;
        if arity != Arity::One {
            return of_many(open);
        }
        let max = match self.tokens.next_if(",")? {
            Some(_) => Some(self.size(">")?),
            None => {
                self.expect(">")?;
                None
            }
        };
        Ok(Shape { element, arity: Arity::Variable { max } })
    }

    fn text(&mut self, kind: TextKind) -> Result<Shape<'a>, SyntaxError> {
        if self.tokens.next_if("<")?.is_some() {
            self.size(">")?;
        }
        Ok(Shape { element: RawElement::Text(kind), arity: Arity::One })
    }

    /// `std_msgs::msg::Header`, or a name in this file.
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
        let (package, kind, name) = match parts[..] {
            [name] => (None, "msg", name),
            [package, kind @ ("msg" | "srv" | "action"), name] => (Some(package), kind, name),
            _ => {
                let ty = parts.join("::");
                return Err(first.wrong(SyntaxProblem::IdlType { ty }));
            }
        };
        Ok(Shape { element: RawElement::Message { package, kind, name }, arity: Arity::One })
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

    /// The tokens up to and including `end`.
    fn until(&mut self, end: &str) -> Result<(Vec<Token<'a>>, Token<'a>), SyntaxError> {
        let mut tokens = Vec::new();
        loop {
            let token = self.next()?;
            if token.text == end {
                return Ok((tokens, token));
            }
            tokens.push(token);
        }
    }

    /// A size, and `end` after it.
    fn size(&mut self, end: &str) -> Result<usize, SyntaxError> {
        let (expression, end) = self.until(end)?;
        self.constants.size(&self.scope, &expression, end)
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
mod tests;
