//! Finds the texts of definitions: recorded with messages, installed, or built in.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::bundle::{Bundle, BundlePart};
use super::error::{DefinitionError, LookedIn, Origin, SyntaxProblem};
use super::interface::{self, Content, Derived};
use super::parse::{RawField, SyntaxError};
use super::written::OwnText;
use super::{Language, idl, parse};
use crate::type_name::TypeName;

/// Types that recordings lack although messages need them: `builtin_interfaces` and `std_msgs`,
/// which some writers leave out, and what ROS itself adds to services and actions. These are the
/// ones of ROS 2 Jazzy; they were the same in every ROS 2 before.
const BUILT_IN: &str = include_str!("builtin.txt");

/// Where to search for texts, in this order: what was recorded, the sourced workspaces, what is
/// built in.
pub(super) struct Texts<'a> {
    /// What was recorded with messages; `None` if nothing was.
    pub(super) recorded: Option<Bundle<'a>>,
    /// The install prefixes; `None` if they are not searched.
    pub(super) prefixes: Option<&'a [PathBuf]>,
}

/// The text of one definition.
pub(super) struct Text<'a> {
    text: Cow<'a, str>,
    language: Language,
    pub(super) origin: Origin,
    pub(super) lines_before: usize,
}

impl Text<'_> {
    /// The fields of the message `name`.
    pub(super) fn fields(&self, name: &TypeName) -> Result<Vec<RawField<'_>>, SyntaxError> {
        match self.language {
            Language::Msg | Language::Srv | Language::Action => parse::parse(&self.text),
            Language::Idl => idl::parse(&self.text, name)?.ok_or_else(|| {
                let (package, name) = (name.package().to_owned(), name.name().to_owned());
                SyntaxError { line: 1, problem: SyntaxProblem::IdlNoStruct { package, name } }
            }),
        }
    }

    /// The text itself, if it is in the language that a type is [written](super::written) in.
    pub(super) fn own(&self) -> OwnText {
        match self.language {
            Language::Msg => OwnText::of(&self.text),
            Language::Srv | Language::Action | Language::Idl => OwnText::default(),
        }
    }

    /// A section of a `.srv` or `.action`. IDL has a struct for each of them.
    fn section(self, base: &TypeName, number: usize) -> Result<Self, DefinitionError> {
        if self.language == Language::Idl {
            return Ok(self);
        }
        let found = interface::section(&self.text, number);
        let Some((section, lines_before)) = found else {
            return Err(DefinitionError::Syntax {
                type_name: base.clone(),
                line: self.lines_before + self.text.lines().count(),
                origin: Box::new(self.origin),
                problem: SyntaxProblem::NoSection { number: number + 1 },
            });
        };
        Ok(Self {
            text: Cow::Owned(section.to_owned()),
            language: Language::Msg,
            lines_before: self.lines_before + lines_before,
            origin: self.origin,
        })
    }
}

impl Texts<'_> {
    /// The text with the fields of the message `name`; `None` if there is none.
    pub(super) fn find(&self, name: &TypeName) -> Result<Option<Text<'_>>, DefinitionError> {
        let derived = interface::derived(name);
        for layer in [Self::recorded, Self::installed, Self::built_in] {
            if let Some(text) = layer(self, name)? {
                return Ok(Some(text));
            }
            if let Some(Derived { base, content: Content::Section(number) }) = &derived
                && let Some(text) = layer(self, base)?
            {
                return text.section(base, *number).map(Some);
            }
        }
        Ok(match derived {
            Some(Derived { base, content: Content::Added(text) }) => Some(Text {
                text: Cow::Owned(text),
                language: Language::Msg,
                origin: Origin::Interface(base),
                lines_before: 0,
            }),
            _ => None,
        })
    }

    pub(super) fn looked_in(&self, name: &TypeName) -> LookedIn {
        let files = |prefixes| {
            let own = files(prefixes, name).map(|(path, _)| path);
            let base = match interface::derived(name) {
                Some(Derived { base, content: Content::Section(_) }) => Some(base),
                _ => None,
            };
            let base = base.iter().flat_map(|base| files(prefixes, base)).map(|(path, _)| path);
            own.chain(base.collect::<Vec<_>>()).collect()
        };
        LookedIn {
            recorded: self.recorded.as_ref().map(|bundle| bundle.lack(name)),
            files: self.prefixes.map(files),
        }
    }

    fn recorded(&self, name: &TypeName) -> Result<Option<Text<'_>>, DefinitionError> {
        let Some(bundle) = &self.recorded else { return Ok(None) };
        let origin = || Origin::Bundle(bundle.root.clone());
        Ok(bundle.get(name).map(|part| Text::of_part(part, origin())))
    }

    fn built_in(&self, name: &TypeName) -> Result<Option<Text<'_>>, DefinitionError> {
        Ok(BUILT_IN_PARTS.as_ref().and_then(|bundle| bundle.get(name)).map(|part| {
            let text = Text::of_part(part, Origin::BuiltIn);
            // A position in our own text is of no use to anybody.
            Text { lines_before: 0, ..text }
        }))
    }

    fn installed(&self, name: &TypeName) -> Result<Option<Text<'_>>, DefinitionError> {
        for (path, language) in files(self.prefixes.unwrap_or_default(), name) {
            match std::fs::read(&path) {
                // Comments may have any encoding.
                Ok(bytes) => {
                    let text = Cow::Owned(String::from_utf8_lossy(&bytes).into_owned());
                    let origin = Origin::File(path);
                    return Ok(Some(Text { text, language, origin, lines_before: 0 }));
                }
                Err(e) if is_absent(&e) => {}
                Err(source) => {
                    let type_name = name.clone();
                    return Err(DefinitionError::Unreadable { type_name, path, source });
                }
            }
        }
        Ok(None)
    }
}

/// The type whose definition the built-in texts start with.
static BUILT_IN_ROOT: LazyLock<Option<TypeName>> =
    LazyLock::new(|| TypeName::new("builtin_interfaces", "Time").ok());
static BUILT_IN_PARTS: LazyLock<Option<Bundle<'static>>> = LazyLock::new(|| {
    let root = BUILT_IN_ROOT.as_ref()?;
    Bundle::split(root, Language::Msg, BUILT_IN).ok()
});

impl<'a> Text<'a> {
    fn of_part(part: &BundlePart<'a>, origin: Origin) -> Self {
        let BundlePart { text, language, lines_before } = *part;
        Self { text: Cow::Borrowed(text), language, origin, lines_before }
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Where a type may be defined. rosidl installs a package's own files beside the IDL that it makes
/// of them, so a type with only IDL was written in IDL.
fn files<'a>(
    prefixes: &'a [PathBuf],
    name: &'a TypeName,
) -> impl Iterator<Item = (PathBuf, Language)> + 'a {
    let own = match interface::language(name) {
        // The messages of services and actions have files of their own only in older ROS 2.
        Some(language) if interface::derived(name).is_none() => language,
        _ => Language::Msg,
    };
    let languages = [own, Language::Idl];
    let of_prefix = move |prefix: &'a PathBuf| languages.map(|l| (installed(prefix, name, l), l));
    prefixes.iter().flat_map(of_prefix)
}

pub(super) fn installed(prefix: &Path, name: &TypeName, language: Language) -> PathBuf {
    let file = format!("{}.{}", name.name(), language.extension());
    prefix.join("share").join(name.package()).join(name.kind()).join(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_text_is_a_definition() {
        let texts = Texts { recorded: None, prefixes: None };
        let heads = BUILT_IN.lines().filter_map(|line| line.split_once(": "));
        let mut names = heads.map(|(_, name)| name.parse::<TypeName>().unwrap()).peekable();
        assert!(names.peek().is_some());
        for name in names {
            let name = if name.kind() == "srv" {
                name.sibling(&format!("{}_Event", name.name())).unwrap()
            } else {
                name
            };
            assert!(texts.find(&name).unwrap().unwrap().fields(&name).is_ok(), "{name}");
        }
    }
}
