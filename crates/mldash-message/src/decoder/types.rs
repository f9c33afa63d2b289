//! The types of columns, derived from the definition: those of the values that
//! [`Reader`](super::reader::Reader) makes.

use super::super::definition::{Arity, ElementType, FieldType, MessageType, Primitive, Role};
use super::super::layout::ByteArrays;
use super::super::path::Slice;
use super::super::type_name::TypeName;
use super::LeftOutColumn;
use super::reader::Hop;
use mldash_track::{Column, ColumnType};

/// A dict with more fields has no type of its own.
const MAX_FIELDS: usize = 256;

/// The type of the column that `hops` lead to from `message`.
pub(super) fn column_type(
    message: &MessageType,
    hops: &[Hop],
    byte_arrays: ByteArrays,
) -> ColumnType {
    Types { byte_arrays }.within(message, hops, ColumnType::MAX_DEPTH)
}

/// The column `name` that `hops` lead to, if it is a byte array of variable length.
pub(super) fn byte_array(
    message: &MessageType,
    hops: &[Hop],
    name: &Column,
) -> Option<LeftOutColumn> {
    let mut message = Some(message);
    let mut path = Vec::new();
    let mut end = None;
    for hop in hops {
        let field = message?.fields().get(hop.field)?;
        path.push(&*field.name);
        message = field.ty.message().map(|message| &**message);
        end = Some((field, hop.slice));
    }
    let (field, slice) = end?;
    let is_whole = field.ty.is_byte_array() && !matches!(slice, Some(Slice::Index(_)));
    is_whole.then(|| LeftOutColumn { name: name.clone(), path: path.join(".").into() })
}

/// The type of the one message whose components are the list in the column that `hops` lead to: a
/// point, vector or quaternion.
pub(super) fn message_of(message: &MessageType, hops: &[Hop]) -> Option<TypeName> {
    let mut message = message;
    for hop in hops {
        let field = &message.fields().get(hop.field)?.ty;
        let is_one = field.arity == Arity::One || matches!(hop.slice, Some(Slice::Index(_)));
        message = field.message().filter(|_| is_one)?;
    }
    matches!(message.role(), Role::Vector(_)).then(|| message.name().clone())
}

struct Types {
    byte_arrays: ByteArrays,
}

impl Types {
    fn within(&self, message: &MessageType, hops: &[Hop], depth: usize) -> ColumnType {
        let field = hops.split_first().and_then(|(hop, rest)| {
            let field = message.fields().get(hop.field)?;
            Some(self.field(&field.ty, hop.slice, rest, depth))
        });
        field.unwrap_or_else(|| self.message(message, depth))
    }

    fn field(
        &self,
        ty: &FieldType,
        slice: Option<Slice>,
        rest: &[Hop],
        depth: usize,
    ) -> ColumnType {
        let is_one = ty.arity == Arity::One || matches!(slice, Some(Slice::Index(_)));
        let Some(below) = depth.checked_sub(usize::from(!is_one)) else {
            return ColumnType::Json;
        };
        let item = match &ty.element {
            ElementType::Primitive(primitive) => number(*primitive),
            ElementType::Text(_) => ColumnType::Text,
            ElementType::Message(message) => self.within(message, rest, below),
        };
        if is_one { item } else { ColumnType::list(item) }
    }

    /// A whole message: a dict of its fields, or a list for a vector.
    fn message(&self, message: &MessageType, depth: usize) -> ColumnType {
        if let Role::Vector(parts) = message.role() {
            return ColumnType::list(number(parts.primitive));
        }
        let Some(below) = depth.checked_sub(1).filter(|_| message.fields().len() <= MAX_FIELDS)
        else {
            return ColumnType::Json;
        };
        let mut entries: Vec<(Column, ColumnType)> = Vec::new();
        for field in message.fields() {
            let is_left_out = field.ty.is_byte_array() && self.byte_arrays == ByteArrays::LeaveOut;
            let ty = self.field(&field.ty, None, &[], below);
            // A message without fields is not an entry of a dict.
            if !is_left_out && ty != ColumnType::Dict(Vec::new()) {
                entries.push((field.name.clone(), ty));
            }
        }
        ColumnType::Dict(entries)
    }
}

/// One type for all widths: see [`ColumnType`].
fn number(primitive: Primitive) -> ColumnType {
    match primitive {
        Primitive::Bool => ColumnType::Bool,
        Primitive::I8
        | Primitive::U8
        | Primitive::I16
        | Primitive::U16
        | Primitive::I32
        | Primitive::U32
        | Primitive::I64 => ColumnType::Int,
        Primitive::U64 => ColumnType::UInt,
        Primitive::F32 | Primitive::F64 => ColumnType::Float,
    }
}

#[cfg(test)]
mod tests {
    use crate::{ByteArrays, Decoder, FieldSelection, Layout, MessageType, SelectedField};

    const POSE: &str = "std_msgs/Header header\nPose[] poses\nuint64 seq\nuint8[] data\nbool ok\n\
        geometry_msgs/Point at\nEmpty none\nEmpty[] nones\n\
        ===\nMSG: a_msgs/Pose\nfloat32 x\nstring[2] names\nuint8[] raw\ngeometry_msgs/Point at\n\
        ===\nMSG: a_msgs/Empty\n\
        ===\nMSG: geometry_msgs/Point\nfloat64 x\nfloat64 y\nfloat64 z\n\
        ===\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n\
        ===\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n";

    fn columns(layout: &Layout) -> Vec<String> {
        let ty = MessageType::from_bundle(&"a_msgs/msg/A".parse().unwrap(), POSE).unwrap();
        let decoder = Decoder::compile(&ty, layout).unwrap();
        let types = decoder.columns().iter().zip(decoder.column_types());
        types.map(|(name, ty)| format!("{name}: {ty}")).collect()
    }

    fn selected(paths: &[&str]) -> Vec<String> {
        let field =
            |path: &&str| SelectedField { column: (*path).to_owned(), path: path.parse().unwrap() };
        let fields = FieldSelection::Only(paths.iter().map(field).collect());
        columns(&Layout { fields, ..Layout::default() })
    }

    #[test]
    fn every_column_has_the_type_of_its_field() {
        let pose = "struct<x: double, names: list<string>, raw: list<int64>, at: list<double>>";
        assert_eq!(
            columns(&Layout::default()),
            [
                "frame_id: string",
                &format!("poses: list<{pose}>"),
                "seq: uint64",
                "data: list<int64>",
                "ok: bool",
                "at: list<double>",
                "nones: list<struct<>>",
            ]
        );
    }

    #[test]
    fn projections_slices_and_byte_arrays_that_are_left_out_change_the_type() {
        assert_eq!(
            selected(&[
                "at.x",
                "poses[0].x",
                "poses[::2].x",
                "poses.names",
                "data[1]",
                "header.stamp.sec"
            ]),
            [
                "at.x: double",
                "poses[0].x: double",
                "poses[::2].x: list<double>",
                "poses.names: list<list<string>>",
                "data[1]: int64",
                "header.stamp.sec: int64",
            ]
        );
        let layout = Layout { byte_arrays: ByteArrays::LeaveOut, ..Layout::default() };
        let poses = "poses: list<struct<x: double, names: list<string>, at: list<double>>>";
        assert!(columns(&layout).contains(&poses.to_owned()));
    }

    #[test]
    fn a_list_of_components_is_known_by_its_message_and_a_list_of_messages_is_not() {
        let paths = ["at", "poses[0].at", "poses.at", "poses[::2].at", "at.x", "seq"];
        let field =
            |path: &&str| SelectedField { column: (*path).to_owned(), path: path.parse().unwrap() };
        let fields = FieldSelection::Only(paths.iter().map(field).collect());
        let ty = MessageType::from_bundle(&"a_msgs/msg/A".parse().unwrap(), POSE).unwrap();
        let decoder = Decoder::compile(&ty, &Layout { fields, ..Layout::default() }).unwrap();
        let found = decoder.column_messages().map(|(name, ty)| format!("{name}: {ty}"));
        assert_eq!(
            found.collect::<Vec<_>>(),
            ["at: geometry_msgs/msg/Point", "poses[0].at: geometry_msgs/msg/Point"]
        );
    }

    #[test]
    fn under_each_the_types_are_those_of_the_element() {
        let layout = Layout { each: Some("poses".parse().unwrap()), ..Layout::default() };
        assert_eq!(
            columns(&layout),
            ["x: double", "names: list<string>", "raw: list<int64>", "at: list<double>"]
        );
    }
}
