//! Whether two definitions mean the same bytes.

use std::collections::HashSet;

use super::{ElementType, MessageType};

impl MessageType {
    /// Returns true if `other` is the same type: the same name, and the same fields with their names
    /// and types in the same order, in nested messages too. Comments, constants and defaults don't
    /// count, nor does the language of the definition.
    ///
    /// ```
    /// use mldash_message::{MessageType, TypeName};
    /// let name: TypeName = "demo/msg/Spot".parse()?;
    /// let recorded = MessageType::from_bundle(&name, "float64 x  # in metres\n")?;
    /// let with_constant = MessageType::from_bundle(&name, "int32 MAX=3\nfloat64 x\n")?;
    /// let other = MessageType::from_bundle(&name, "float32 x\n")?;
    /// assert!(recorded.is_like(&with_constant) && !recorded.is_like(&other));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_like(&self, other: &Self) -> bool {
        // Each pair once: nested types can refer to the same ones again and again.
        let mut compared = HashSet::new();
        let mut pairs = vec![(self, other)];
        while let Some((one, other)) = pairs.pop() {
            if one.name != other.name || one.fields.len() != other.fields.len() {
                return false;
            }
            if !compared.insert(&one.name) {
                continue;
            }
            for (field, of_other) in one.fields.iter().zip(&other.fields) {
                if field.name != of_other.name || field.ty.arity != of_other.ty.arity {
                    return false;
                }
                match (&field.ty.element, &of_other.ty.element) {
                    (ElementType::Message(message), ElementType::Message(of_other)) => {
                        pairs.push((&**message, &**of_other));
                    }
                    (ElementType::Primitive(a), ElementType::Primitive(b)) if a == b => {}
                    (ElementType::Text(a), ElementType::Text(b)) if a == b => {}
                    _ => return false,
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::name;
    use super::*;

    #[test]
    fn only_what_changes_the_bytes_or_a_name_makes_another_type() {
        let ty = |text: &str| MessageType::from_bundle(&name("a/A"), text).unwrap();
        let recorded = ty("int32 n\nB[] b\nB one\n===\nMSG: a/B\nstring s\nfloat32[3] x\n");
        for same in [
            "int32 n\nB[] b\nB one\n===\nMSG: a/B\nstring s\nfloat32[3] x\n",
            "# About\nint32 K=1\nint32 n 7\na/B[] b\na/B one\n===\nMSG: a/B\nstring s\nfloat32[3] x # m\n",
        ] {
            assert!(recorded.is_like(&ty(same)), "{same}");
        }
        for other in [
            "int32 n\nB[] b\n===\nMSG: a/B\nstring s\nfloat32[3] x\n",
            "int32 m\nB[] b\nB one\n===\nMSG: a/B\nstring s\nfloat32[3] x\n",
            "uint32 n\nB[] b\nB one\n===\nMSG: a/B\nstring s\nfloat32[3] x\n",
            "int32 n\nB[2] b\nB one\n===\nMSG: a/B\nstring s\nfloat32[3] x\n",
            "int32 n\nB[] b\nB one\n===\nMSG: a/B\nwstring s\nfloat32[3] x\n",
            "int32 n\nB[] b\nB one\n===\nMSG: a/B\nfloat32[3] x\nstring s\n",
            "int32 n\nB[] b\nC one\n===\nMSG: a/B\nstring s\nfloat32[3] x\n===\nMSG: a/C\nstring s\n",
        ] {
            assert!(!recorded.is_like(&ty(other)), "{other}");
        }
    }
}
