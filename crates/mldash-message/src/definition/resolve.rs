//! Resolves definitions to complete types.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::bundle::Bundle;
use super::error::{DefinitionError, Reference, SyntaxProblem};
use super::parse::{RawElement, RawField};
use super::texts::{Text, Texts};
use super::{ElementType, Field, FieldType, Language, MAX_NESTED, MessageType};
use crate::type_name::TypeName;

/// Limits on definitions from outside: a bag may contain anything.
const MAX_LEAVES: usize = 1 << 16;

/// The message types of the ROS 2 packages installed on a machine.
///
/// Types are read at first use and kept.
#[derive(Debug, Default)]
pub struct Definitions {
    pub(super) prefixes: Vec<PathBuf>,
    resolved: Mutex<Resolved>,
}

type Resolved = HashMap<TypeName, Arc<MessageType>>;

impl Definitions {
    /// Definitions below these install prefixes (`<prefix>/share/<package>/msg/<Name>.msg`); the
    /// first that has a type wins.
    pub fn from_prefixes(prefixes: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { prefixes: prefixes.into_iter().collect(), resolved: Mutex::default() }
    }

    /// The definitions of the sourced workspaces, by `AMENT_PREFIX_PATH`; none if it is not set.
    pub fn from_environment() -> Self {
        let path = std::env::var_os("AMENT_PREFIX_PATH").unwrap_or_default();
        Self::from_prefixes(std::env::split_paths(&path).filter(|p| !p.as_os_str().is_empty()))
    }

    /// Returns true if there are none, since no workspace is sourced.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// The message types of a package; none if it is not installed.
    pub fn types_of(&self, package: &str) -> BTreeSet<TypeName> {
        let folders = self.prefixes.iter().map(|p| p.join("share").join(package).join("msg"));
        let files = folders.filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
        let paths = files.map(|file| file.path());
        let definitions =
            paths.filter(|path| path.extension().is_some_and(|e| e == "msg" || e == "idl"));
        let names = definitions.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
        names.filter_map(|name| TypeName::new(package, &name).ok()).collect()
    }

    /// A type with everything that it refers to.
    ///
    /// # Errors
    ///
    /// Fails if no prefix has a type, or rosidl would not accept a definition.
    pub fn resolve(&self, name: &TypeName) -> Result<Arc<MessageType>, DefinitionError> {
        if let Some(known) = self.resolved.lock().get(name) {
            return Ok(known.clone());
        }
        // Not under the lock, since this reads files. The result is the same whoever resolves a
        // type first.
        let mut resolved = self.resolved.lock().clone();
        let texts = Texts { recorded: None, prefixes: Some(&self.prefixes) };
        let ty = resolve(&texts, name, None, &mut Vec::new(), &mut resolved)?;
        self.resolved.lock().extend(resolved);
        Ok(ty)
    }
}

impl MessageType {
    /// A type from a `ros2msg` text, as bags carry them: its own definition, then those that it needs,
    /// each after a line of `=` and a line `MSG: package/Name`.
    ///
    /// # Errors
    /// Types that the text lacks, and definitions that rosidl would not accept.
    ///
    /// ```
    /// use mldash_message::MessageType;
    /// let text = "Point at\n=====\nMSG: demo/Point\nfloat64 x\n";
    /// let ty = MessageType::from_bundle(&"demo/msg/Spot".parse()?, text)?;
    /// assert_eq!(ty.fields()[0].ty.to_string(), "demo/msg/Point");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_bundle(name: &TypeName, text: &str) -> Result<Arc<Self>, DefinitionError> {
        Self::from_parts(name, Bundle::split(name, Language::Msg, text)?)
    }

    /// Like [`from_bundle`](Self::from_bundle), for a `ros2idl` text: definitions in OMG IDL, each
    /// after a line of `=` and a line `IDL: package/msg/Name`. A text may mix both.
    ///
    /// # Errors
    ///
    /// As [`from_bundle`](Self::from_bundle). Also fails for IDL without a meaning in a ROS
    /// message.
    pub fn from_idl_bundle(name: &TypeName, text: &str) -> Result<Arc<Self>, DefinitionError> {
        Self::from_parts(name, Bundle::split(name, Language::Idl, text)?)
    }

    fn from_parts(name: &TypeName, bundle: Bundle<'_>) -> Result<Arc<Self>, DefinitionError> {
        let texts = Texts { recorded: Some(bundle), prefixes: None };
        resolve(&texts, name, None, &mut Vec::new(), &mut HashMap::new())
    }
}

pub(super) fn resolve(
    texts: &Texts<'_>,
    name: &TypeName,
    referred_by: Option<Box<Reference>>,
    stack: &mut Vec<TypeName>,
    resolved: &mut Resolved,
) -> Result<Arc<MessageType>, DefinitionError> {
    if let Some(known) = resolved.get(name) {
        return Ok(known.clone());
    }
    if let Some(first) = stack.iter().position(|t| t == name) {
        let chain = stack[first..].iter().chain([name]).cloned().collect();
        return Err(DefinitionError::Recursive { chain });
    }
    if stack.len() >= MAX_NESTED {
        let what = "64 levels of nested messages";
        return Err(DefinitionError::TooLarge { type_name: name.clone(), what });
    }
    let Some(text) = texts.find(name)? else {
        let looked_in = Box::new(texts.looked_in(name));
        return Err(DefinitionError::Unknown { type_name: name.clone(), referred_by, looked_in });
    };
    let raw = text.fields(name).map_err(|e| DefinitionError::Syntax {
        type_name: name.clone(),
        origin: Box::new(text.origin.clone()),
        line: text.lines_before + e.line,
        problem: e.problem,
    })?;
    stack.push(name.clone());
    let mut fields = Vec::with_capacity(raw.len());
    for field in &raw {
        fields.push(resolve_field(texts, name, &text, field, stack, resolved)?);
    }
    stack.pop();
    let ty = Arc::new(MessageType::new(name.clone(), fields, text.own()));
    if ty.leaves > MAX_LEAVES {
        let what = "65536 values";
        return Err(DefinitionError::TooLarge { type_name: name.clone(), what });
    }
    resolved.insert(name.clone(), ty.clone());
    Ok(ty)
}

fn resolve_field(
    texts: &Texts<'_>,
    owner: &TypeName,
    text: &Text<'_>,
    field: &RawField<'_>,
    stack: &mut Vec<TypeName>,
    resolved: &mut Resolved,
) -> Result<Field, DefinitionError> {
    let element = match field.element {
        RawElement::Primitive(primitive) => ElementType::Primitive(primitive),
        RawElement::Text(kind) => ElementType::Text(kind),
        RawElement::Message { package, kind, name } => {
            let line = text.lines_before + field.line;
            let syntax = |_| DefinitionError::Syntax {
                type_name: owner.clone(),
                origin: Box::new(text.origin.clone()),
                line,
                problem: SyntaxProblem::Type { ty: name.to_owned() },
            };
            let target = TypeName::new(package.unwrap_or(owner.package()), name).map_err(syntax)?;
            let mut target = target.of_kind(kind);
            // `Header` alone means that of std_msgs, unless the package has its own.
            if package.is_none() && name == "Header" && texts.find(&target)?.is_none() {
                target = TypeName::new("std_msgs", name).map_err(syntax)?;
            }
            let reference = Box::new(Reference {
                type_name: owner.clone(),
                field: field.name.to_owned(),
                origin: text.origin.clone(),
                line,
            });
            ElementType::Message(resolve(texts, &target, Some(reference), stack, resolved)?)
        }
    };
    Ok(Field { name: field.name.into(), ty: FieldType { element, arity: field.arity } })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fields, install, name};
    use super::super::texts::installed;
    use super::*;

    #[test]
    fn types_join_across_packages_and_the_first_prefix_wins() {
        let (overlay, underlay) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        install(underlay.path(), "a/Outer", "Inner i\nb/Far[] far\n");
        install(underlay.path(), "a/Inner", "int8 old\n");
        install(overlay.path(), "a/Inner", "int16 new\n");
        install(underlay.path(), "b/Far", "string<=4 s\n");
        let prefixes = [overlay.path().to_owned(), underlay.path().to_owned()];

        let outer = Definitions::from_prefixes(prefixes).resolve(&name("a/Outer")).unwrap();

        assert_eq!(fields(&outer), ["a/msg/Inner i", "b/msg/Far[] far"]);
        assert_eq!(fields(outer.fields()[0].ty.message().unwrap()), ["int16 new"]);
    }

    #[test]
    fn a_type_is_read_once() {
        let prefix = tempfile::tempdir().unwrap();
        install(prefix.path(), "a/T", "int8 x\n");
        let definitions = Definitions::from_prefixes([prefix.path().to_owned()]);
        let first = definitions.resolve(&name("a/T")).unwrap();
        std::fs::remove_dir_all(prefix.path().join("share")).unwrap();
        assert!(Arc::ptr_eq(&first, &definitions.resolve(&name("a/T")).unwrap()));
    }

    #[test]
    fn an_unknown_type_says_who_wants_it_where_it_was_looked_for_and_what_to_do() {
        let prefix = tempfile::tempdir().unwrap();
        install(prefix.path(), "a/T", "int8 x\nb/Gone[3] y\n");
        let definitions = Definitions::from_prefixes([prefix.path().to_owned()]);
        let message = definitions.resolve(&name("a/T")).unwrap_err().to_string();
        for part in ["b/msg/Gone is not known", "field `y` of a/msg/T", "a/msg/T.msg, line 2"] {
            assert!(message.contains(part), "{message}");
        }
        let looked = prefix.path().join("share/b/msg/Gone.msg");
        assert!(message.contains(&looked.display().to_string()), "{message}");
        assert!(message.contains("source the workspace"), "{message}");
    }

    #[test]
    fn without_prefixes_the_remedy_is_to_source_ros() {
        let message = Definitions::default().resolve(&name("a/T")).unwrap_err().to_string();
        assert!(message.contains("AMENT_PREFIX_PATH is not set"), "{message}");
    }

    #[test]
    fn a_type_that_holds_itself_is_an_error() {
        let text = "B[] b\n===\nMSG: a/B\nC c\n===\nMSG: a/C\na/msg/B b\n";
        let error = MessageType::from_bundle(&name("a/A"), text).unwrap_err();
        let chain = "a/msg/B contains itself: a/msg/B → a/msg/C → a/msg/B";
        assert!(error.to_string().contains(chain), "{error}");
    }

    #[test]
    fn definitions_made_to_explode_are_refused() {
        let deep: String = (0..100).map(|i| format!("T{}[] n\n===\nMSG: a/T{i}\n", i)).collect();
        let error = MessageType::from_bundle(&name("a/R"), &deep).unwrap_err();
        assert!(matches!(error, DefinitionError::TooLarge { .. }), "{error}");

        let twice = |i: u32| format!("T{i} a\nT{i} b\n===\nMSG: a/T{i}\n");
        let wide: String = (0..40).map(twice).collect::<String>() + "int8 x\n";
        let error = MessageType::from_bundle(&name("a/R"), &wide).unwrap_err();
        assert!(matches!(error, DefinitionError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn a_bare_header_is_that_of_std_msgs_unless_the_package_has_one() {
        let text = "Header header\n===\nMSG: std_msgs/Header\nint8 std\n";
        let bundled = MessageType::from_bundle(&name("a/A"), text).unwrap();
        assert_eq!(fields(&bundled), ["std_msgs/msg/Header header"]);

        let own = format!("{text}===\nMSG: a/Header\nint8 own\n");
        let bundled = MessageType::from_bundle(&name("a/A"), &own).unwrap();
        assert_eq!(fields(&bundled), ["a/msg/Header header"]);
    }

    #[test]
    fn lines_of_a_bundle_count_from_its_start() {
        let text = "B b\r\n\r\n=====\r\nMSG: a/B\r\nint8 fine\r\nint8[-1] wrong\r\n";
        let error = MessageType::from_bundle(&name("a/A"), text).unwrap_err().to_string();
        let place = "message type a/msg/B, recorded definition of a/msg/A, line 6: `int8[-1]`";
        assert!(error.contains(place), "{error}");
    }

    #[test]
    fn a_bundle_that_heads_its_own_type_is_understood() {
        let text = "=====\nMSG: a/A\nint8 x\n";
        let ty = MessageType::from_bundle(&name("a/A"), text).unwrap();
        assert_eq!(fields(&ty), ["int8 x"]);
    }

    #[test]
    fn a_bundle_in_idl_gives_the_type_that_one_of_msg_texts_gives() {
        let idl = "=====\nIDL: a/msg/A\nmodule a { module msg { struct A { sequence<b::msg::B> b; }; \
                   }; };\n=====\nIDL: b/msg/B\n\nmodule b { module msg { struct B { float x[3]; }; }; };";
        let from_idl = MessageType::from_idl_bundle(&name("a/A"), idl).unwrap();
        let msg = "b/B[] b\n===\nMSG: b/B\nfloat32[3] x\n";
        let from_msg = MessageType::from_bundle(&name("a/A"), msg).unwrap();
        assert_eq!(format!("{from_idl:?}"), format!("{from_msg:?}"));

        let wrong = idl.replace("float x", "float 3x");
        let error = MessageType::from_idl_bundle(&name("a/A"), &wrong).unwrap_err().to_string();
        assert!(error.contains("b/msg/B, recorded definition of a/msg/A, line 7:"), "{error}");
    }

    #[test]
    fn a_package_that_was_written_in_idl_is_read_from_it() {
        let prefix = tempfile::tempdir().unwrap();
        install(prefix.path(), "a/T", "b/Part part\n");
        let file = installed(prefix.path(), &name("b/Part"), Language::Idl);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "module b { module msg { struct Part { double x; }; }; };").unwrap();
        let definitions = Definitions::from_prefixes([prefix.path().to_owned()]);
        let part =
            definitions.resolve(&name("a/T")).unwrap().fields()[0].ty.message().unwrap().clone();
        assert_eq!(fields(&part), ["float64 x"]);
        assert!(definitions.types_of("b").contains(&name("b/Part")));
    }
}
