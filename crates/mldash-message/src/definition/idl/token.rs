//! Splits IDL text into words, numbers, texts and signs; skips comments and `#` lines.

use super::super::error::SyntaxProblem;
use super::super::parse::SyntaxError;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or a name.
    Word,
    /// A number, or what starts like one.
    Number,
    /// A text or a character in its quotes.
    Quoted,
    /// `::` or a single character.
    Sign,
}

/// A piece of the text, and the line in which it starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    line: usize,
}

impl Token<'_> {
    pub(super) fn wrong(&self, problem: SyntaxProblem) -> SyntaxError {
        SyntaxError { line: self.line, problem }
    }

    pub(super) fn unexpected(&self, expected: &str) -> SyntaxError {
        self.wrong(SyntaxProblem::IdlUnexpected {
            found: self.text.to_owned(),
            expected: expected.to_owned(),
        })
    }

    /// Returns true if a list of names ends here, false if it continues.
    pub(super) fn ends_list(&self) -> Result<bool, SyntaxError> {
        match self.text {
            ";" => Ok(true),
            "," => Ok(false),
            _ => Err(self.unexpected("`,` or `;`")),
        }
    }
}

/// The tokens of a text, one after another.
pub(super) struct Tokens<'a> {
    rest: &'a str,
    line: usize,
    put_back: Option<Token<'a>>,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text.trim_start_matches('\u{feff}'), line: 1, put_back: None }
    }

    /// The line of the next token.
    pub(super) fn line(&mut self) -> usize {
        // An error in the space before it is reported when the token is read.
        let _ = self.skip_space();
        self.put_back.map_or(self.line, |token| token.line)
    }

    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, SyntaxError> {
        if let Some(token) = self.put_back.take() {
            return Ok(Some(token));
        }
        self.skip_space()?;
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (kind, end) = if first.is_ascii_alphabetic() || first == '_' {
            (Kind::Word, self.rest.find(|c| !is_part(c)))
        } else if first.is_ascii_digit() {
            (Kind::Number, self.rest.find(|c| !is_part(c) && c != '.'))
        } else if matches!(first, '"' | '\'') {
            (Kind::Quoted, Some(self.quoted_end(first)?))
        } else if self.rest.starts_with("::") {
            (Kind::Sign, Some(2))
        } else {
            (Kind::Sign, Some(first.len_utf8()))
        };
        let line = self.line;
        let text = self.take(end.unwrap_or(self.rest.len()));
        Ok(Some(Token { kind, text, line }))
    }

    /// The next token if it is this one.
    pub(super) fn next_if(&mut self, text: &str) -> Result<Option<Token<'a>>, SyntaxError> {
        match self.next()? {
            Some(token) if token.text == text => Ok(Some(token)),
            Some(token) => {
                self.put_back(token);
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Puts a token back.
    pub(super) fn put_back(&mut self, token: Token<'a>) {
        self.put_back = Some(token);
    }

    /// The text ends where something else was expected.
    pub(super) fn ended(&self, expected: &str) -> SyntaxError {
        let problem = SyntaxProblem::IdlEnds { expected: expected.to_owned() };
        SyntaxError { line: self.line, problem }
    }

    fn quoted_end(&self, quote: char) -> Result<usize, SyntaxError> {
        let mut is_escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            match c {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                c if c == quote => return Ok(at + 1),
                _ => {}
            }
        }
        Err(self.ended("the end of a text"))
    }

    fn skip_space(&mut self) -> Result<(), SyntaxError> {
        loop {
            let space = self.rest.len() - self.rest.trim_start().len();
            self.take(space);
            if self.rest.starts_with("//") || self.rest.starts_with('#') {
                self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let end = comment.find("*/").ok_or_else(|| self.ended("the end of a comment"))?;
                self.take(end + 4);
            } else {
                return Ok(());
            }
        }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }
}
