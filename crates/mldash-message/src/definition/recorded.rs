//! The types of recorded messages: from the definitions in a bag, completed from the workspaces.

use std::collections::HashMap;
use std::sync::Arc;

use super::bundle::Bundle;
use super::error::{DefinitionError, Lack};
use super::resolve::{Definitions, resolve};
use super::texts::Texts;
use super::{Language, MessageType};
use crate::type_name::TypeName;

/// What a recording contains of the definition of its messages.
#[derive(Clone, Copy, Debug)]
pub struct RecordedDefinition<'a> {
    /// The language of the text: `ros2msg` or `ros2idl`; `unknown` or empty if the recorder did not
    /// find the definition.
    pub encoding: &'a str,
    /// The definition, and those that it needs. Comments may have any encoding.
    pub text: &'a [u8],
}

impl Definitions {
    /// The type of recorded messages: from the recorded text, completed from the sourced
    /// workspaces. `None`: nothing was recorded.
    ///
    /// # Errors
    ///
    /// Fails if a type is in neither, rosidl would not accept a definition, or a text is in a
    /// language that ROS 2 does not use.
    pub fn resolve_recorded(
        &self,
        name: &TypeName,
        recorded: Option<RecordedDefinition<'_>>,
    ) -> Result<Arc<MessageType>, DefinitionError> {
        let text = recorded.map(|recorded| String::from_utf8_lossy(recorded.text));
        let text = text.as_deref().unwrap_or_default();
        let bundle = match recorded.map(|recorded| recorded.encoding) {
            None => Bundle::without(name, Lack::Nothing),
            Some("ros2msg") => Bundle::recorded(name, Language::Msg, text)?,
            Some("ros2idl") => Bundle::recorded(name, Language::Idl, text)?,
            Some(encoding @ ("" | "unknown")) => return self.resolve_unnamed(name, encoding, text),
            Some(encoding) => {
                let (type_name, encoding) = (name.clone(), encoding.to_owned());
                return Err(DefinitionError::Encoding { type_name, encoding });
            }
        };
        self.resolve_with(name, bundle)
    }

    /// For a text whose language was not recorded. Some recorders write only the text.
    fn resolve_unnamed(
        &self,
        name: &TypeName,
        encoding: &str,
        text: &str,
    ) -> Result<Arc<MessageType>, DefinitionError> {
        let read = |language| {
            Bundle::recorded(name, language, text)
                .and_then(|bundle| self.resolve_with(name, bundle))
        };
        let as_msg = match read(Language::Msg) {
            Ok(resolved) => return Ok(resolved),
            Err(error) => error,
        };
        if let Ok(resolved) = read(Language::Idl) {
            return Ok(resolved);
        }
        match as_msg {
            DefinitionError::Syntax { .. } => {
                let (encoding, problem) = (encoding.to_owned(), as_msg.to_string());
                let lack = Lack::Unreadable { encoding, problem };
                self.resolve_with(name, Bundle::without(name, lack))
            }
            error => Err(error),
        }
    }

    fn resolve_with(
        &self,
        name: &TypeName,
        recorded: Bundle<'_>,
    ) -> Result<Arc<MessageType>, DefinitionError> {
        let texts = Texts { recorded: Some(recorded), prefixes: Some(&self.prefixes) };
        resolve(&texts, name, None, &mut Vec::new(), &mut HashMap::new())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::testing::{fields, install, name};
    use super::*;

    /// The fields of a type for this recorded text, with these prefixes sourced.
    fn recorded(
        prefix: &Path,
        ty: &str,
        said: Option<(&str, &[u8])>,
    ) -> Result<Vec<String>, String> {
        let definitions = Definitions::from_prefixes([prefix.to_owned()]);
        let said = said.map(|(encoding, text)| RecordedDefinition { encoding, text });
        let resolved = definitions.resolve_recorded(&name(ty), said);
        resolved.map(|ty| fields(&ty)).map_err(|error| error.to_string())
    }

    #[test]
    fn where_a_bag_has_no_definition_that_of_the_workspace_is_taken_else_it_says_what_it_found() {
        let prefix = tempfile::tempdir().unwrap();
        install(prefix.path(), "a/T", "int8 x\n");
        for (said, found) in [
            (None, "the bag does not have its definition"),
            (Some(("unknown", &b""[..])), "is empty"),
            (Some(("", b"\n")), "is empty"),
            (Some(("ros2msg", b"")), "is empty"),
            (Some(("ros2msg", b"\xef\xbb\xbf a/msg/T\n")), "only its name, `a/msg/T`"),
            (Some(("ros2msg", b"T")), "only its name, `T`"),
            (Some(("unknown", b"a/T")), "only its name, `a/T`"),
            (Some(("unknown", b"{\"x\": 1}")), "is in `unknown`, which ROS 2 does not use"),
        ] {
            let sourced = recorded(prefix.path(), "a/T", said);
            assert_eq!(sourced.as_deref(), Ok(&["int8 x".to_owned()][..]), "{said:?}");
            let nowhere = tempfile::tempdir().unwrap();
            let error = recorded(nowhere.path(), "a/T", said).unwrap_err();
            assert!(error.contains(found), "{said:?}: {error}");
            assert!(error.contains("source the workspace that has the package"), "{error}");
        }
        let error = recorded(prefix.path(), "a/T", Some(("protobuf", b"x"))).unwrap_err();
        assert!(error.contains("is written in `protobuf`; ROS 2 uses"), "{error}");
    }

    #[test]
    fn a_text_whose_language_was_not_recorded_is_read_all_the_same() {
        let nowhere = tempfile::tempdir().unwrap();
        let msg = recorded(nowhere.path(), "a/T", Some(("unknown", b"# \xb0C\nint8 x\n")));
        assert_eq!(msg.unwrap(), ["int8 x"]);
        let idl = b"module a { module msg { struct T { octet x; }; }; };";
        assert_eq!(recorded(nowhere.path(), "a/T", Some(("", idl))).unwrap(), ["uint8 x"]);
    }

    #[test]
    fn a_type_without_fields_has_a_head_or_a_comment_or_is_one_of_std_msgs() {
        let nowhere = tempfile::tempdir().unwrap();
        for (ty, text) in [
            ("a/T", &b"# nothing\n"[..]),
            ("a/T", b"=====\nMSG: a/T\n"),
            ("std_msgs/Empty", b""),
            ("a/T", b"int8 NOTHING=0\n"),
        ] {
            let found = recorded(nowhere.path(), ty, Some(("ros2msg", text)));
            assert_eq!(found, Ok(Vec::new()), "{text:?}");
        }
        let part = recorded(nowhere.path(), "a/T", Some(("ros2msg", b"E e\n===\nMSG: a/E\n\n")));
        assert_eq!(part.unwrap(), ["a/msg/E e"]);
    }

    #[test]
    fn what_a_recorded_definition_lacks_is_in_the_workspace_or_built_in() {
        let prefix = tempfile::tempdir().unwrap();
        install(prefix.path(), "b/Far", "std_msgs/Header header\nduration d\n");
        let text = b"b/Far far\nHeader header\n===\nMSG: std_msgs/Header\ntime stamp\nstring f\n";
        let definitions = Definitions::from_prefixes([prefix.path().to_owned()]);
        let said = RecordedDefinition { encoding: "ros2msg", text };
        let ty = definitions.resolve_recorded(&name("a/T"), Some(said)).unwrap();
        let header = ty.fields()[1].ty.message().unwrap();
        assert_eq!(fields(header), ["builtin_interfaces/msg/Time stamp", "string f"]);
        // What was recorded goes before what is installed and what is built in.
        let far = ty.fields()[0].ty.message().unwrap();
        assert!(Arc::ptr_eq(far.fields()[0].ty.message().unwrap(), header));

        let error = recorded(prefix.path(), "a/T", Some(("ros2msg", b"b/Gone g"))).unwrap_err();
        let lacks = "the definition recorded with a/msg/T lacks it, and no file";
        assert!(error.contains(lacks) && error.contains("field `g` of a/msg/T"), "{error}");
    }

    const ADD: &[u8] = b"int64 a\nint64 b\n---\nint64 sum\n";

    #[test]
    fn service_events_are_read_by_the_service_wherever_it_is() {
        let event = [
            "service_msgs/msg/ServiceEventInfo info",
            "a/srv/Add_Request[<=1] request",
            "a/srv/Add_Response[<=1] response",
        ];
        let nowhere = tempfile::tempdir().unwrap();
        let headed = [b"=====\nSRV: a/srv/Add\n".as_slice(), ADD].concat();
        let idl = b"module a { module srv { struct Add_Request { int64 a; int64 b; };\n\
            struct Add_Response { int64 sum; }; }; };";
        for (encoding, text) in [
            ("ros2msg", ADD),
            ("ros2msg", &headed),
            ("unknown", &headed),
            ("unknown", ADD),
            (
                "ros2idl",
                b"=====\nIDL: a/srv/Add\nmodule a { module srv { struct Add_Request {\n\
                int64 a; int64 b; }; struct Add_Response { int64 sum; }; }; };",
            ),
        ] {
            let found = recorded(nowhere.path(), "a/srv/Add_Event", Some((encoding, text)));
            assert_eq!(found.unwrap(), event, "{encoding}: {}", String::from_utf8_lossy(text));
            let request = recorded(nowhere.path(), "a/srv/Add_Request", Some((encoding, text)));
            assert_eq!(request.unwrap(), ["int64 a", "int64 b"]);
        }
        let sourced = tempfile::tempdir().unwrap();
        let share = sourced.path().join("share/a/srv");
        std::fs::create_dir_all(&share).unwrap();
        for (file, text) in [("Add.srv", ADD), ("Add.idl", idl)] {
            std::fs::write(share.join(file), text).unwrap();
            let found = recorded(sourced.path(), "a/srv/Add_Event", Some(("unknown", b"")));
            assert_eq!(found.unwrap(), event, "{file}");
            std::fs::remove_file(share.join(file)).unwrap();
        }
        let error = recorded(sourced.path(), "a/srv/Add_Event", None).unwrap_err();
        assert!(error.contains("a/srv/Add_Request is not known (field `request`"), "{error}");
        assert!(error.contains("share/a/srv/Add.srv"), "{error}");
    }

    #[test]
    fn what_is_wrong_in_a_section_is_named_by_its_line() {
        let nowhere = tempfile::tempdir().unwrap();
        let said = |text: &'static [u8]| Some(("ros2msg", text));
        let error = recorded(nowhere.path(), "a/srv/Add_Event", said(b"int8 a\n---\n\nint8 9\n"));
        let error = error.unwrap_err();
        assert!(error.contains("a/srv/Add_Response, ") && error.contains("line 4: `9`"), "{error}");
        let text = b"=====\nACTION: a/Go\nint8 a\n---\nint8 b\n";
        let error = recorded(nowhere.path(), "a/action/Go_Feedback", said(text)).unwrap_err();
        assert!(error.contains("has no section 3"), "{error}");
    }

    #[test]
    fn all_that_an_action_stands_for_is_read_by_its_text() {
        let nowhere = tempfile::tempdir().unwrap();
        let text = b"int32 order\n---\nint32[] sequence\n---\nint32[] partial\n";
        let of = |message: &str| {
            let ty = format!("a/action/Fib_{message}");
            recorded(nowhere.path(), &ty, Some(("ros2msg", text))).unwrap().join("; ")
        };
        let id = "unique_identifier_msgs/msg/UUID goal_id";
        assert_eq!(of("Goal"), "int32 order");
        assert_eq!(of("Result"), "int32[] sequence");
        assert_eq!(of("FeedbackMessage"), format!("{id}; a/action/Fib_Feedback feedback"));
        assert_eq!(of("SendGoal_Request"), format!("{id}; a/action/Fib_Goal goal"));
        assert_eq!(of("SendGoal_Response"), "bool accepted; builtin_interfaces/msg/Time stamp");
        assert_eq!(of("GetResult_Request"), id);
        assert_eq!(of("GetResult_Response"), "int8 status; a/action/Fib_Result result");
        let event = "service_msgs/msg/ServiceEventInfo info; \
            a/action/Fib_GetResult_Request[<=1] request; a/action/Fib_GetResult_Response[<=1] response";
        assert_eq!(of("GetResult_Event"), event);
    }
}
