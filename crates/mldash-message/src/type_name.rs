//! Names of message types: `geometry_msgs/msg/PoseStamped`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A message type's package and name. `pkg/Name` and `pkg/msg/Name` are the same type.
///
/// ```
/// use mldash_message::TypeName;
/// let short: TypeName = "geometry_msgs/PoseStamped".parse()?;
/// assert_eq!(short, "geometry_msgs/msg/PoseStamped".parse()?);
/// assert_eq!(short.to_string(), "geometry_msgs/msg/PoseStamped");
/// # Ok::<(), mldash_message::TypeNameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeName {
    package: Arc<str>,
    /// `msg`, or `srv` and `action` for the messages that services and actions are made of.
    kind: Arc<str>,
    name: Arc<str>,
}

/// Why a text is not a message type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a message type such as `geometry_msgs/msg/PoseStamped`")]
pub struct TypeNameError(pub String);

impl TypeName {
    /// A message type of a package.
    ///
    /// # Errors
    /// Parts that ROS does not allow as names.
    pub fn new(package: &str, name: &str) -> Result<Self, TypeNameError> {
        Self::from_parts(package, "msg", name)
            .ok_or_else(|| TypeNameError(format!("{package}/msg/{name}")))
    }

    /// The package.
    pub fn package(&self) -> &str {
        &self.package
    }

    /// `msg`, `srv` or `action`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The name within the package.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Another type of the package, of the same kind; `None` for what is no name.
    pub(super) fn sibling(&self, name: &str) -> Option<Self> {
        Self::from_parts(&self.package, &self.kind, name)
    }

    /// The type of the same package and name of another kind.
    pub(super) fn of_kind(&self, kind: &str) -> Self {
        Self { kind: kind.into(), ..self.clone() }
    }

    fn from_parts(package: &str, kind: &str, name: &str) -> Option<Self> {
        let fits = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let known = matches!(kind, "msg" | "srv" | "action");
        (known && fits(package) && fits(name)).then(|| Self {
            package: package.into(),
            kind: kind.into(),
            name: name.into(),
        })
    }
}

impl FromStr for TypeName {
    type Err = TypeNameError;

    fn from_str(text: &str) -> Result<Self, TypeNameError> {
        let parts: Vec<&str> = text.split('/').collect();
        let parsed = match parts[..] {
            [package, name] => Self::from_parts(package, "msg", name),
            [package, kind, name] => Self::from_parts(package, kind, name),
            _ => None,
        };
        parsed.ok_or_else(|| TypeNameError(text.to_owned()))
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.package, self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_type_is_named() {
        for text in ["", "Pose", "/Pose", "pkg/", "pkg/msg/", "a/b/c/d", "pkg/foo/Pose", "9p/Pose"]
        {
            assert_eq!(text.parse::<TypeName>(), Err(TypeNameError(text.to_owned())));
        }
    }
}
