//! Names on the graph. Expands relative and private names as rcl does.
//! Source: "Topic and service names", design.ros2.org.

/// A node's name and namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeName {
    base: String,
    /// With a leading and without a trailing '/'; empty for the root.
    namespace: String,
}

impl NodeName {
    /// Creates it from a name and a namespace. The namespace may lack its slashes.
    pub fn new(base: &str, namespace: &str) -> Self {
        let namespace = namespace.trim_matches('/');
        let namespace = if namespace.is_empty() { String::new() } else { format!("/{namespace}") };
        Self { base: base.to_owned(), namespace }
    }

    /// The name without its namespace.
    pub fn base_name(&self) -> &str {
        &self.base
    }

    /// The namespace, with a leading '/'; empty for the root.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The namespace and the name.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.base)
    }

    /// Makes `name` absolute: `/a` stays, `a` goes into the namespace, `~/a` below the node.
    pub fn expand(&self, name: &str) -> String {
        if name.starts_with('/') {
            return name.to_owned();
        }
        match name.strip_prefix("~") {
            Some(private) => self.full_name() + private,
            None => format!("{}/{name}", self.namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_expand_as_ros_does() {
        let node = NodeName::new("bridge", "robot1/");
        assert_eq!(node.expand("/scan"), "/scan");
        assert_eq!(node.expand("scan"), "/robot1/scan");
        assert_eq!(node.expand("~/pause"), "/robot1/bridge/pause");
        assert_eq!(NodeName::new("bridge", "/").expand("scan"), "/scan");
    }
}
