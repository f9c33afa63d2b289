//! A type as one text again: `ros2msg`, as rosbag2 stores it with messages.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::{ElementType, Field, MessageType};
use crate::type_name::TypeName;

/// Between the definitions of two types, as rosbag2 writes it.
const SEPARATOR: &str =
    "================================================================================\n";

/// What stands for a definition without a line: recorders leave those empty that they have not
/// found.
const NO_FIELDS: &str = "# This message has no fields.\n";

/// The `.msg` text that a type was defined by, with its comments and constants; nothing if it was
/// written in another language.
#[derive(Clone, Default)]
pub(super) struct OwnText(Option<Arc<str>>);

impl OwnText {
    pub(super) fn of(text: &str) -> Self {
        Self(Some(text.trim_start_matches('\u{feff}').into()))
    }
}

/// Two texts can mean the same type, so it is no part of what a type is.
impl fmt::Debug for OwnText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnText")
    }
}

impl MessageType {
    /// The whole type as a `ros2msg` text, which [`from_bundle`](Self::from_bundle) reads: its own
    /// definition, then each that it needs after a line of `=` and a line `MSG: package/Name`.
    ///
    /// Definitions are as they were found, with their comments. Those in IDL are written as `.msg`.
    ///
    /// ```
    /// use mldash_message::MessageType;
    /// let idl = "module demo { module msg { struct Spot { double x; sequence<long> ids; }; }; };";
    /// let ty = MessageType::from_idl_bundle(&"demo/msg/Spot".parse()?, idl)?;
    /// assert_eq!(ty.to_bundle(), "float64 x\nint32[] ids\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_bundle(&self) -> String {
        let mut bundle = String::new();
        self.write(&mut bundle);
        if bundle.trim().is_empty() {
            bundle = NO_FIELDS.to_owned();
        }
        let mut known = HashSet::from([&self.name]);
        self.write_needed(&mut bundle, &mut known);
        bundle
    }

    fn write_needed<'t>(&'t self, bundle: &mut String, known: &mut HashSet<&'t TypeName>) {
        for message in self.fields.iter().filter_map(|field| field.ty.message()) {
            if known.insert(&message.name) {
                bundle.push_str(SEPARATOR);
                bundle.push_str(&format!("MSG: {}\n", reference(&message.name)));
                message.write(bundle);
                message.write_needed(bundle, known);
            }
        }
    }

    fn write(&self, bundle: &mut String) {
        match &self.text.0 {
            Some(text) => {
                bundle.push_str(text);
                if !text.is_empty() && !text.ends_with('\n') {
                    bundle.push('\n');
                }
            }
            None => {
                for Field { name, ty } in &self.fields {
                    let ty = match &ty.element {
                        ElementType::Message(message) => {
                            let array = ty.to_string();
                            let array =
                                array.trim_start_matches(&message.name.to_string()).to_owned();
                            format!("{}{array}", reference(&message.name))
                        }
                        ElementType::Primitive(_) | ElementType::Text(_) => ty.to_string(),
                    };
                    bundle.push_str(&format!("{ty} {name}\n"));
                }
            }
        }
    }
}

/// A type's name as `.msg` files refer to it.
fn reference(name: &TypeName) -> String {
    match name.kind() {
        "msg" => format!("{}/{}", name.package(), name.name()),
        _ => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::name;
    use super::*;

    fn written_and_read(ty: &Arc<MessageType>) -> Arc<MessageType> {
        MessageType::from_bundle(ty.name(), &ty.to_bundle()).unwrap()
    }

    #[test]
    fn a_type_that_is_written_and_read_is_the_same_type() {
        let msg = "# About\nint32 MAX=3\nstring<=4 s\nB[<=3] b\nHeader header\n===\nMSG: a/B\nEmpty e\n\
            a/C c\n===\nMSG: a/Empty\n===\nMSG: a/C\nwstring[2] w\n===\nMSG: std_msgs/Header\n\
            builtin_interfaces/Time stamp\n===\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec";
        let ty = MessageType::from_bundle(&name("a/A"), msg).unwrap();
        assert_eq!(format!("{:?}", written_and_read(&ty)), format!("{ty:?}"));
        let text = ty.to_bundle();
        assert!(text.starts_with("# About\nint32 MAX=3\nstring<=4 s\n"), "{text}");
        assert!(text.contains(&format!("{SEPARATOR}MSG: builtin_interfaces/Time\nint32 sec\n")));

        let idl = "=====\nIDL: a/msg/A\nmodule a { module msg { struct A { sequence<b::msg::B, 3> b; \
            wstring w; boolean ok; }; }; };\n=====\nIDL: b/msg/B\nmodule b { module msg { struct B { \
            float x[3]; }; }; };";
        let ty = MessageType::from_idl_bundle(&name("a/A"), idl).unwrap();
        assert!(ty.to_bundle().starts_with("b/B[<=3] b\nwstring w\nbool ok\n==="));
        assert_eq!(format!("{:?}", written_and_read(&ty)), format!("{ty:?}"));
    }

    #[test]
    fn a_type_without_fields_is_not_taken_for_one_that_was_not_found() {
        let ty = MessageType::from_bundle(&name("a/A"), "").unwrap();
        let text = ty.to_bundle();
        let said = crate::RecordedDefinition { encoding: "ros2msg", text: text.as_bytes() };
        let read = crate::Definitions::default().resolve_recorded(&name("a/A"), Some(said));
        assert!(read.unwrap().fields().is_empty());
    }
}
