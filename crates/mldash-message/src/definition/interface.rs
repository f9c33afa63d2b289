//! The messages of services and actions: `AddTwoInts_Request` is a section of `AddTwoInts.srv`, and
//! `AddTwoInts_Event` is what ROS adds to every service. Does not know where texts are.

use super::Language;
use crate::type_name::TypeName;

/// A message of a service or an action.
#[derive(Debug, PartialEq)]
pub(super) struct Derived {
    /// The service or the action.
    pub(super) base: TypeName,
    pub(super) content: Content,
}

/// Where its fields are.
#[derive(Debug, PartialEq)]
pub(super) enum Content {
    /// In this section of the `.srv` or `.action`, counted from 0.
    Section(usize),
    /// In no text: ROS adds it to every service or action. This is its `.msg` text.
    Added(String),
}

/// The suffix of a message's name, and where its fields are.
type Suffix = (&'static str, Fields);

#[derive(Clone, Copy)]
enum Fields {
    Section(usize),
    /// A `.msg` text in which `{}` stands for package, kind and name of the base.
    Added(&'static str),
}

const SERVICE: &[Suffix] = &[
    ("_Request", Fields::Section(0)),
    ("_Response", Fields::Section(1)),
    (
        "_Event",
        Fields::Added(
            "service_msgs/ServiceEventInfo info\n{}_Request[<=1] request\n{}_Response[<=1] response\n",
        ),
    ),
];

const ACTION: &[Suffix] = &[
    ("_Goal", Fields::Section(0)),
    ("_Result", Fields::Section(1)),
    ("_Feedback", Fields::Section(2)),
    (
        "_FeedbackMessage",
        Fields::Added("unique_identifier_msgs/UUID goal_id\n{}_Feedback feedback\n"),
    ),
    ("_SendGoal_Request", Fields::Added("unique_identifier_msgs/UUID goal_id\n{}_Goal goal\n")),
    ("_SendGoal_Response", Fields::Added("bool accepted\nbuiltin_interfaces/Time stamp\n")),
    (
        "_SendGoal_Event",
        Fields::Added(
            "service_msgs/ServiceEventInfo info\n{}_SendGoal_Request[<=1] request\n\
             {}_SendGoal_Response[<=1] response\n",
        ),
    ),
    ("_GetResult_Request", Fields::Added("unique_identifier_msgs/UUID goal_id\n")),
    ("_GetResult_Response", Fields::Added("int8 status\n{}_Result result\n")),
    (
        "_GetResult_Event",
        Fields::Added(
            "service_msgs/ServiceEventInfo info\n{}_GetResult_Request[<=1] request\n\
             {}_GetResult_Response[<=1] response\n",
        ),
    ),
];

/// The service or action that the message `name` belongs to, if any.
pub(super) fn derived(name: &TypeName) -> Option<Derived> {
    let suffixes = match language(name)? {
        Language::Srv => SERVICE,
        _ => ACTION,
    };
    suffixes.iter().find_map(|(suffix, fields)| {
        let base = name.sibling(name.name().strip_suffix(suffix)?)?;
        let content = match fields {
            Fields::Section(number) => Content::Section(*number),
            Fields::Added(text) => Content::Added(text.replace("{}", &base.to_string())),
        };
        Some(Derived { base, content })
    })
}

/// The language of the definition of a service or an action; `None` for messages.
pub(super) fn language(name: &TypeName) -> Option<Language> {
    match name.kind() {
        "srv" => Some(Language::Srv),
        "action" => Some(Language::Action),
        _ => None,
    }
}

/// Returns true if a text has several sections, which no `.msg` has.
pub(super) fn has_sections(text: &str) -> bool {
    text.lines().any(is_separator)
}

/// A section of a `.srv` or `.action`, and the number of lines before it.
pub(super) fn section(text: &str, number: usize) -> Option<(&str, usize)> {
    let mut sections = 0;
    let (mut start, mut lines_before) = (0, 0);
    let mut at = 0;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        if is_separator(line) {
            if sections == number {
                return Some((&text[start..at], lines_before));
            }
            sections += 1;
            (start, lines_before) = (at + line.len(), i + 1);
        }
        at += line.len();
    }
    (sections == number).then(|| (&text[start..], lines_before))
}

fn is_separator(line: &str) -> bool {
    line.trim() == "---"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> TypeName {
        text.parse().unwrap()
    }

    #[test]
    fn a_message_of_a_service_or_an_action_says_which_one() {
        let base = |text: &str| derived(&name(text)).map(|derived| derived.base.to_string());
        assert_eq!(base("a/srv/Add_Request").as_deref(), Some("a/srv/Add"));
        assert_eq!(base("a/srv/Add_Event_Event").as_deref(), Some("a/srv/Add_Event"));
        assert_eq!(base("a/action/Go_FeedbackMessage").as_deref(), Some("a/action/Go"));
        assert_eq!(base("a/action/Go_SendGoal_Event").as_deref(), Some("a/action/Go"));
        for none in ["a/msg/Add_Request", "a/srv/Add", "a/srv/_Request", "a/action/Go_Request"] {
            assert_eq!(none.parse::<TypeName>().ok().and_then(|n| derived(&n)), None, "{none}");
        }
    }

    #[test]
    fn sections_are_counted_and_know_their_lines() {
        let text = "# one\nint8 a\n--- \r\n---\nint8 b";
        assert_eq!(section(text, 0), Some(("# one\nint8 a\n", 0)));
        assert_eq!(section(text, 1), Some(("", 3)));
        assert_eq!(section(text, 2), Some(("int8 b", 4)));
        assert_eq!(section(text, 3), None);
        assert!(has_sections(text) && !has_sections("int8 a # ---\n----\n"));
    }
}
