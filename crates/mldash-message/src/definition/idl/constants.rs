//! Constants, and sizes made of them: `const unsigned long N = 3;`, `sequence<short, N * 2>`.

use std::collections::HashMap;

use super::super::MAX_NESTED;
use super::super::error::SyntaxProblem;
use super::super::parse::SyntaxError;
use super::token::{Kind, Token};

/// The last level binds strongest.
const OPERATORS: [&[&str]; 5] = [&["|"], &["^"], &["&"], &["+", "-"], &["*", "/", "%"]];

/// The integer constants of a text, by their names with all enclosing modules.
#[derive(Default)]
pub(super) struct Constants<'a> {
    values: HashMap<Vec<&'a str>, i128>,
}

impl<'a> Constants<'a> {
    /// Notes what stands between `const` and `;`. A constant that is not an integer can't be a
    /// size, and is skipped.
    pub(super) fn define(&mut self, scope: &[&'a str], statement: &[Token<'a>]) {
        let Some(equals) = statement.iter().position(|token| token.text == "=") else { return };
        let (declared, value) = (&statement[..equals], &statement[equals + 1..]);
        let Some(Token { kind: Kind::Word, text: name, .. }) = declared.last() else { return };
        if let Ok(value) = self.value(scope, value) {
            self.values.insert(scope.iter().chain([name]).copied().collect(), value);
        }
    }

    /// The value of an expression as a size; at least 1. `end` is what follows it.
    pub(super) fn size(
        &self,
        scope: &[&'a str],
        expression: &[Token<'a>],
        end: Token<'a>,
    ) -> Result<usize, SyntaxError> {
        let Some(first) = expression.first() else {
            return Err(end.unexpected("a size of at least 1"));
        };
        let value = self.value(scope, expression)?;
        let size = usize::try_from(value).ok().filter(|size| *size > 0);
        size.ok_or_else(|| first.unexpected("a size of at least 1"))
    }

    fn value(&self, scope: &[&'a str], expression: &[Token<'a>]) -> Result<i128, SyntaxError> {
        let mut reader = Reader { constants: self, scope, expression, at: 0, depth: 0 };
        let value = reader.binary(0)?;
        match reader.next() {
            None => Ok(value),
            Some(token) => Err(token.unexpected("the end of a size")),
        }
    }

    /// The value of a name in `scope`: the nearest enclosing one, else the only one.
    fn find(&self, scope: &[&'a str], name: &[&'a str]) -> Option<i128> {
        let around = (0..=scope.len()).rev();
        let mut nearest = around.filter_map(|depth| {
            let path: Vec<&str> = scope[..depth].iter().chain(name).copied().collect();
            self.values.get(&path).copied()
        });
        nearest.next().or_else(|| {
            // rosidl puts the constants of a message in a module beside it.
            let mut named = self.values.iter().filter(|(path, _)| path.ends_with(name));
            let (_, value) = named.next()?;
            named.all(|(_, other)| other == value).then_some(*value)
        })
    }
}

/// An expression while it is evaluated.
struct Reader<'r, 'a> {
    constants: &'r Constants<'a>,
    scope: &'r [&'a str],
    expression: &'r [Token<'a>],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'_, 'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.expression.get(self.at).copied();
        self.at += usize::from(token.is_some());
        token
    }

    fn next_if(&mut self, texts: &[&str]) -> Option<Token<'a>> {
        let token = self.expression.get(self.at).filter(|token| texts.contains(&token.text))?;
        self.at += 1;
        Some(*token)
    }

    /// Operators of level `level` and stronger ones.
    fn binary(&mut self, level: usize) -> Result<i128, SyntaxError> {
        let Some(operators) = OPERATORS.get(level) else { return self.unary() };
        let mut value = self.binary(level + 1)?;
        while let Some(operator) = self.next_if(operators) {
            let right = self.binary(level + 1)?;
            let result = match operator.text {
                "|" => Some(value | right),
                "^" => Some(value ^ right),
                "&" => Some(value & right),
                "+" => value.checked_add(right),
                "-" => value.checked_sub(right),
                "*" => value.checked_mul(right),
                "/" => value.checked_div(right),
                _ => value.checked_rem(right),
            };
            value = result.ok_or_else(|| operator.unexpected("a size that can be counted"))?;
        }
        Ok(value)
    }

    fn unary(&mut self) -> Result<i128, SyntaxError> {
        let Some(token) = self.next() else {
            return Err(self.expression.last().map_or_else(
                || SyntaxError { line: 1, problem: ends() },
                |last| last.wrong(ends()),
            ));
        };
        self.depth += 1;
        if self.depth > MAX_NESTED {
            return Err(token.wrong(SyntaxProblem::TooDeep { limit: MAX_NESTED }));
        }
        let value = match token.text {
            "-" => self.unary()?.checked_neg(),
            "+" => Some(self.unary()?),
            "~" => Some(!self.unary()?),
            "(" => {
                let value = self.binary(0)?;
                if self.next_if(&[")"]).is_none() {
                    return Err(token.unexpected("a size whose brackets are closed"));
                }
                Some(value)
            }
            _ if token.kind == Kind::Number => number(token.text),
            _ if token.kind == Kind::Word => {
                let mut name = vec![token.text];
                while self.next_if(&["::"]).is_some() {
                    name.extend(self.next().map(|token| token.text));
                }
                self.constants.find(self.scope, &name)
            }
            _ => None,
        };
        self.depth -= 1;
        value.ok_or_else(|| {
            token.unexpected("a size of at least 1, or the name of an integer constant")
        })
    }
}

fn ends() -> SyntaxProblem {
    SyntaxProblem::IdlEnds { expected: "a size of at least 1".to_owned() }
}

/// `42`, `0x2A`, `052`
fn number(text: &str) -> Option<i128> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match (hexadecimal, text.strip_prefix('0')) {
        (Some(digits), _) => i128::from_str_radix(digits, 16).ok(),
        (None, Some(digits)) if !digits.is_empty() => i128::from_str_radix(digits, 8).ok(),
        _ => text.parse().ok(),
    }
}
