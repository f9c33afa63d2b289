//! Texts with `{placeholders}`. Knows nothing of what they stand for.

/// A part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'t> {
    /// Plain text; never empty.
    Text(&'t str),
    /// The text between the braces.
    Placeholder(&'t str),
}

/// A brace without its partner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`: a brace stands alone; placeholders are written as {{name}}")]
pub struct LoneBrace(String);

/// The parts of `template`, in order.
pub(super) fn parts(template: &str) -> Result<Vec<Part<'_>>, LoneBrace> {
    let lone = || LoneBrace(template.to_owned());
    let mut parts = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('{') {
            let (placeholder, after) = inner.split_once('}').ok_or_else(lone)?;
            if placeholder.contains('{') {
                return Err(lone());
            }
            parts.push(Part::Placeholder(placeholder));
            rest = after;
        } else {
            let (text, after) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
            if text.contains('}') {
                return Err(lone());
            }
            parts.push(Part::Text(text));
            rest = after;
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_placeholders_alternate_as_written() {
        use Part::{Placeholder, Text};
        assert_eq!(parts("a/{b}{c}").unwrap(), [Text("a/"), Placeholder("b"), Placeholder("c")]);
        assert_eq!(parts("{}x").unwrap(), [Placeholder(""), Text("x")]);
        assert_eq!(parts("").unwrap(), []);
    }

    #[test]
    fn a_brace_without_its_partner_is_an_error() {
        for text in ["{", "}", "a{b", "a}b", "{a{b}}", "{a}}"] {
            assert_eq!(parts(text), Err(LoneBrace(text.to_owned())));
        }
    }
}
