//! Compares a mapping with the available message definitions: unknown types, and fields that types
//! lack.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;

use super::settings::{Keys, SettingKey, Settings, TimeColumn};
use super::{Mapping, Rule};
use crate::yaml::Problems;
use mldash_message::{
    Decoder, DefinitionError, Definitions, LayoutFault, LayoutPart, TypeName, meant_package,
    nearest,
};

/// How much of a mapping could be compared with definitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypesChecked {
    /// Every type that it names, except types whose packages are not installed. Only globs name
    /// those, so they are unused unless such a topic exists.
    All {
        /// The types whose packages are not installed.
        but: BTreeSet<TypeName>,
    },
    /// Nothing, since there are no definitions.
    NoDefinitions,
}

/// A setting that does not fit the message type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingFault {
    /// The key that is wrong.
    pub key: SettingKey,
    /// The item of its value, counted from 0.
    pub item: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
}

/// Compares the message types in `mapping` with their definitions. Reports unknown types, and
/// stamps, fields, `each` and placeholders that a type lacks, each at its place.
pub(super) fn check(
    mapping: &Mapping,
    definitions: &Definitions,
    problems: &mut Problems,
) -> TypesChecked {
    if definitions.is_empty() {
        return TypesChecked::NoDefinitions;
    }
    let mut but = BTreeSet::new();
    mapping.check_types(problems, |ty, settings| {
        let is_absent = definitions.types_of(ty.package()).is_empty();
        if is_absent && !is_wanted(mapping, ty) {
            but.insert(ty.clone());
            return Vec::new();
        }
        faults(ty, settings, definitions)
    });
    for entry in mapping.split_on() {
        let own = mapping.rule_naming(entry.topic()).and_then(Rule::message_type);
        for fault in entry.check(own, definitions) {
            problems.add(&fault.spot, fault.message, fault.hint);
        }
    }
    TypesChecked::All { but }
}

/// Returns true if a named topic must have this type.
fn is_wanted(mapping: &Mapping, ty: &TypeName) -> bool {
    let wants = |rule: &Rule| !rule.topic().is_glob() && rule.message_type() == Some(ty);
    mapping.rules().iter().any(wants)
}

fn faults(ty: &TypeName, settings: &Settings, definitions: &Definitions) -> Vec<SettingFault> {
    let message = match definitions.resolve(ty) {
        Ok(message) => message,
        Err(error) => return vec![type_fault(ty, &error, definitions)],
    };
    match Decoder::compile(&message, &settings.layout()) {
        Ok(decoder) => settings.taken_time_column(&decoder).map(column_fault).into_iter().collect(),
        Err(faults) => faults.iter().map(layout_fault).collect(),
    }
}

pub(super) fn type_fault(
    ty: &TypeName,
    error: &DefinitionError,
    definitions: &Definitions,
) -> SettingFault {
    let siblings = definitions.types_of(ty.package());
    let is_sibling_missing = !siblings.is_empty()
        && matches!(error, DefinitionError::Unknown { type_name, .. } if type_name == ty);
    let (message, hint) = if is_sibling_missing {
        let meant = nearest(ty.name(), siblings.iter().map(TypeName::name));
        let message = format!("the package `{}` has no message type `{}`", ty.package(), ty.name());
        (message, meant.map(|name| format!("did you mean `{}/msg/{name}`?", ty.package())))
    } else {
        let hint = meant_type(ty, definitions).unwrap_or_else(|| {
            "source the workspace that has it before starting the bridge".to_owned()
        });
        (with_source(error), Some(hint))
    };
    SettingFault { key: SettingKey::Type, item: None, message, hint }
}

/// Warns of a package that is not installed here and whose name is most likely a slip. Needs no
/// definitions.
pub(super) fn misspelled(ty: &TypeName, definitions: &Definitions) -> Option<SettingFault> {
    let hint = meant_type(ty, definitions)?;
    let message = format!("the message package `{}` is not known", ty.package());
    Some(SettingFault { key: SettingKey::Type, item: None, message, hint: Some(hint) })
}

fn meant_type(ty: &TypeName, definitions: &Definitions) -> Option<String> {
    let is_absent = definitions.types_of(ty.package()).is_empty();
    let meant = is_absent.then(|| meant_package(ty.package())).flatten()?;
    Some(format!("did you mean `{meant}/msg/{}`?", ty.name()))
}

fn with_source(error: &DefinitionError) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

fn column_fault(column: TimeColumn) -> SettingFault {
    SettingFault {
        key: SettingKey::TimeColumn(column),
        item: None,
        message: format!("messages have a field for the column `{}` already", column.name()),
        hint: Some(
            "give that field another column with `fields:`, or leave this key out".to_owned(),
        ),
    }
}

fn layout_fault(fault: &LayoutFault) -> SettingFault {
    let (key, item) = match fault.part {
        LayoutPart::Each => (SettingKey::Each, None),
        LayoutPart::Stamp => (SettingKey::Stamp, None),
        LayoutPart::Field(field) => (SettingKey::Fields, Some(field)),
        LayoutPart::Name(placeholder) => (SettingKey::Track, Some(placeholder)),
    };
    SettingFault { key, item, message: fault.to_string(), hint: fault.hint() }
}

impl Mapping {
    /// Calls `check` to compare each setting with its message type, wherever the mapping names one.
    /// Reports each fault at the place of its key.
    pub(super) fn check_types(
        &self,
        problems: &mut Problems,
        mut check: impl FnMut(&TypeName, &Settings) -> Vec<SettingFault>,
    ) {
        let typed_rules = self.rules.iter().filter_map(|rule| {
            let message_type = rule.message_type.as_ref()?;
            let keys = self.keys_of(rule, Some(&message_type.value));
            Some((&message_type.value, keys, &message_type.spot))
        });
        let defaults = self.types.iter().map(|(name, keys)| (name, keys.value.clone(), &keys.spot));
        let excluded = self.exclude_types.iter().map(|ty| (&ty.value, Keys::default(), &ty.spot));
        for (message_type, keys, type_spot) in typed_rules.chain(defaults).chain(excluded) {
            for fault in check(message_type, &keys.with_defaults()) {
                let spot = keys.spot(fault.key, fault.item).unwrap_or(type_spot);
                problems.add(spot, fault.message, fault.hint);
            }
        }
    }
}

impl fmt::Display for TypesChecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDefinitions => f.write_str(
                "message types not checked: no ROS 2 workspace is sourced (AMENT_PREFIX_PATH)",
            ),
            Self::All { but } if but.is_empty() => f.write_str("message types checked"),
            Self::All { but } => {
                f.write_str("message types checked, except those of packages not installed here:")?;
                but.iter().try_for_each(|ty| write!(f, " {ty}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn define(prefix: &Path, package: &str, name: &str, text: &str) {
        let folder = prefix.join("share").join(package).join("msg");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.msg")), text).unwrap();
    }

    /// What is said of a mapping where `arm_msgs` is installed.
    fn check(text: &str) -> Result<TypesChecked, String> {
        let prefix = tempfile::tempdir().unwrap();
        define(prefix.path(), "arm_msgs", "Joint", "string name\nfloat64 angle\n");
        define(prefix.path(), "arm_msgs", "Arm", "float64 when\nJoint[] joints\n");
        define(prefix.path(), "arm_msgs", "Broken", "float99 x\n");
        let definitions = Definitions::from_prefixes([prefix.path().to_owned()]);
        let checked = Mapping::parse_checked(text, Path::new("arm.yaml"), &definitions);
        checked.map(|(_, checked)| checked).map_err(|errors| errors.to_string())
    }

    #[test]
    fn what_a_type_has_is_in_order() {
        let text = "
topics:
  - topic: /arm
    type: arm_msgs/msg/Arm
    each: joints
    track: joint/{name}
    stamp: receive
    fields: [angle]
";
        assert_eq!(check(text), Ok(TypesChecked::All { but: BTreeSet::new() }));
    }

    #[test]
    fn what_a_type_lacks_is_reported_at_its_place() {
        let text = "
topics:
  - topic: /arm
    type: arm_msgs/msg/Arm
    each: joint
  - topic: /joint
    type: arm_msgs/msg/Joint
    stamp: name
    track: joint/{nam}
    fields: [angle, speed]
";
        let message = check(text).unwrap_err();
        for part in
            ["arm.yaml:5:11: ", "`joints`", "8:12: ", "9:12: ", "`name`", "10:21: ", "`speed`"]
        {
            assert!(message.contains(part), "{part} in {message}");
        }
        assert!(message.starts_with("4 problems"), "{message}");
    }

    #[test]
    fn a_column_for_a_time_must_not_be_one_of_the_message() {
        let text = "
topics:
  - topic: /joint
    type: arm_msgs/msg/Joint
    stamp: receive
    fields: {stamp_ns: angle}
    receive_ts: true
    stamp_ns: true
";
        let message = check(text).unwrap_err();
        assert!(message.contains("arm.yaml:8:15: topics[0].stamp_ns: "), "{message}");
        assert!(message.starts_with("1 problem"), "{message}");
    }

    #[test]
    fn an_unknown_type_is_reported_with_the_one_that_was_meant() {
        let message = check("topics: [{topic: /**, type: arm_msgs/msg/Jiont}]").unwrap_err();
        assert!(message.contains("arm.yaml:1:29: "), "{message}");
        assert!(message.contains("did you mean `arm_msgs/msg/Joint`?"), "{message}");
        let message = check("topics: [{topic: /a, type: leg_msgs/msg/Leg}]").unwrap_err();
        assert!(message.contains("source the workspace"), "{message}");
        let message = check("topics: [{topic: /a, type: geometry_msg/msg/Pose}]").unwrap_err();
        assert!(message.contains("did you mean `geometry_msgs/msg/Pose`?"), "{message}");
        let message = check("topics: [{topic: /a, type: arm_msgs/msg/Broken}]").unwrap_err();
        assert!(message.contains("line 1"), "{message}");
    }

    #[test]
    fn a_type_that_is_excluded_must_be_one() {
        let message =
            check("{topics: [{topic: /**}], exclude_types: [arm_msgs/Jiont]}").unwrap_err();
        assert!(message.contains("arm.yaml:1:42: exclude_types[0]: "), "{message}");
        assert!(message.contains("did you mean `arm_msgs/msg/Joint`?"), "{message}");
        let absent = check("{topics: [{topic: /**}], exclude_types: [leg_msgs/Leg]}").unwrap();
        assert_eq!(absent, TypesChecked::All { but: ["leg_msgs/Leg".parse().unwrap()].into() });
    }

    #[test]
    fn a_glob_may_be_for_a_type_whose_package_is_not_there() {
        let text =
            "{topics: [{topic: /**, type: leg_msgs/Leg}], types: {leg_msgs/Leg: {max_rate: 1}}}";
        let checked = check(text).unwrap();
        assert_eq!(checked, TypesChecked::All { but: ["leg_msgs/Leg".parse().unwrap()].into() });
        assert!(checked.to_string().ends_with("not installed here: leg_msgs/msg/Leg"));
    }

    #[test]
    fn without_definitions_nothing_is_checked_and_that_is_said() {
        let (text, none) = ("topics: [{topic: /a, type: a/B}]", Definitions::from_prefixes([]));
        let (_, checked) = Mapping::parse_checked(text, Path::new("arm.yaml"), &none).unwrap();
        assert!(checked.to_string().contains("not checked"), "{checked}");
    }
}
