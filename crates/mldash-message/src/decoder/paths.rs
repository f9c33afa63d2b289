//! Follows a layout's paths through a type: to field numbers, and to the columns below a message.

use super::super::definition::{
    Arity, ElementType, Field, FieldType, MessageType, Primitive, Role,
};
use super::super::path::{FieldPath, Slice, Step};
use super::fault::LayoutProblem;
use super::reader::Hop;

/// A path followed to its end.
pub(super) struct Followed<'t> {
    pub(super) hops: Vec<Hop>,
    /// The fields on the way, one for each hop.
    pub(super) fields: Vec<&'t Field>,
}

/// A column below a followed path.
pub(super) struct Leaf {
    /// The names below the path's end, joined by dots; empty if the end itself is the column.
    pub(super) name: String,
    pub(super) hops: Vec<Hop>,
}

/// Follows `steps` from `root`.
pub(super) fn follow<'t>(
    root: &'t MessageType,
    steps: &[Step],
) -> Result<Followed<'t>, LayoutProblem> {
    let mut followed = Followed { hops: Vec::new(), fields: Vec::new() };
    let mut message = Some(root);
    for step in steps {
        let Some(owner) = message else {
            let end = followed.fields.last();
            return Err(end.map_or_else(
                || LayoutProblem::no_such_field(&step.name, root),
                |field| LayoutProblem::not_a_message(field),
            ));
        };
        let Some(number) = owner.position(&step.name) else {
            return Err(LayoutProblem::no_such_field(&step.name, owner));
        };
        let field = &owner.fields()[number];
        if step.slice.is_some() && field.ty.arity == Arity::One {
            return Err(LayoutProblem::not_an_array(field));
        }
        followed.hops.push(Hop { field: number, slice: step.slice });
        followed.fields.push(field);
        message = field.ty.message().map(|m| &**m);
    }
    Ok(followed)
}

/// Follows a path that starts at an element of `each`, or repeats the path to it. `frame_id` means
/// the column of that name if the element has no such field.
pub(super) fn follow_in_element<'t>(
    element: &'t MessageType,
    path: &FieldPath,
    each: Option<&FieldPath>,
) -> Result<Followed<'t>, LayoutProblem> {
    let from_element = follow(element, path.steps());
    if from_element.is_ok() {
        return from_element;
    }
    match each.and_then(|each| path.steps().strip_prefix(each.steps())) {
        Some(below) => follow(element, below),
        None if is_frame_id(path) && header_of(element).is_some() => {
            follow(element, &[plain_step("header"), plain_step("frame_id")]).or(from_element)
        }
        None => from_element,
    }
}

fn is_frame_id(path: &FieldPath) -> bool {
    matches!(path.steps(), [Step { name, slice: None }] if name == "frame_id")
}

fn plain_step(name: &str) -> Step {
    Step { name: name.to_owned(), slice: None }
}

impl<'t> Followed<'t> {
    /// The message that the path ends at, if it is a single one that has columns of its own.
    pub(super) fn end_message(&self, root: &'t MessageType) -> Option<&'t MessageType> {
        if !self.hops.iter().zip(&self.fields).all(|(hop, field)| is_single(hop, field)) {
            return None;
        }
        match self.fields.last() {
            None => Some(root),
            Some(field) => field.ty.message().map(|m| &**m).filter(|m| has_columns(m)),
        }
    }

    /// The field that it ends at.
    pub(super) fn end(&self) -> Option<&'t Field> {
        self.fields.last().copied()
    }

    /// Returns true if an index is given for every array on the way.
    pub(super) fn is_single(&self) -> bool {
        self.hops.iter().zip(&self.fields).all(|(hop, field)| is_single(hop, field))
    }

    /// Lets arrays stand for their first element.
    ///
    /// # Errors
    ///
    /// Fails for slices of several elements.
    pub(super) fn take_first(&mut self) -> Result<(), LayoutProblem> {
        for (hop, field) in self.hops.iter_mut().zip(&self.fields) {
            match hop.slice {
                Some(Slice::Range { .. }) => {
                    return Err(LayoutProblem::ManyTimes { field: field.name.to_string() });
                }
                Some(Slice::Index(_)) => {}
                None if field.ty.arity == Arity::One => {}
                None => hop.slice = Some(Slice::Index(0)),
            }
        }
        Ok(())
    }
}

fn is_single(hop: &Hop, field: &Field) -> bool {
    field.ty.arity == Arity::One || matches!(hop.slice, Some(Slice::Index(_)))
}

/// Vectors are one column. Other messages are expanded into columns.
pub(super) fn has_columns(message: &MessageType) -> bool {
    match message.role() {
        Role::Vector(_) => false,
        Role::Plain | Role::Time | Role::Header => true,
    }
}

/// The columns of a message that `hops` lead to, without those below `left_out`.
pub(super) fn leaves(message: &MessageType, hops: &[Hop], left_out: Option<&[Hop]>) -> Vec<Leaf> {
    let mut found = Vec::new();
    collect_leaves(message, "", hops, left_out, &mut found);
    found
}

fn collect_leaves(
    message: &MessageType,
    name: &str,
    hops: &[Hop],
    left_out: Option<&[Hop]>,
    found: &mut Vec<Leaf>,
) {
    for (number, field) in message.fields().iter().enumerate() {
        let mut hops = hops.to_vec();
        hops.push(Hop { field: number, slice: None });
        if left_out == Some(&hops[..]) {
            continue;
        }
        let dot = if name.is_empty() { "" } else { "." };
        let name = format!("{name}{dot}{}", field.name);
        match single_message(&field.ty) {
            Some(message) if has_columns(message) => {
                collect_leaves(message, &name, &hops, left_out, found);
            }
            Some(_) | None => found.push(Leaf { name, hops }),
        }
    }
}

/// The message type of a field that holds a single message.
pub(super) fn single_message(ty: &FieldType) -> Option<&MessageType> {
    match (&ty.element, ty.arity) {
        (ElementType::Message(message), Arity::One) => Some(message),
        _ => None,
    }
}

/// The path to a message's header, with the stamp and the frame in it.
pub(super) struct HeaderHops {
    pub(super) stamp: Vec<Hop>,
    /// `None` if the message is itself a header.
    pub(super) frame_id: Option<Vec<Hop>>,
}

/// The header of a message: its `header`, or itself.
pub(super) fn header_of(message: &MessageType) -> Option<HeaderHops> {
    let hops = |names: &[&str]| {
        let steps: Vec<Step> = names.iter().map(|name| plain_step(name)).collect();
        follow(message, &steps).ok().map(|followed| followed.hops)
    };
    if message.role() == Role::Header {
        return Some(HeaderHops { stamp: hops(&["stamp"])?, frame_id: None });
    }
    let header = &message.fields()[message.position("header")?];
    if single_message(&header.ty)?.role() != Role::Header {
        return None;
    }
    Some(HeaderHops { stamp: hops(&["header", "stamp"])?, frame_id: hops(&["header", "frame_id"]) })
}

/// A time below a message that is not one, for hints.
pub(super) fn time_below(message: &MessageType) -> Option<&'static str> {
    let is_time = |field: &Field| single_message(&field.ty).is_some_and(|m| m.role() == Role::Time);
    if header_of(message).is_some_and(|header| header.frame_id.is_some()) {
        return Some("header.stamp");
    }
    let stamp = message.fields().iter().find(|f| &*f.name == "stamp")?;
    is_time(stamp).then_some("stamp")
}

/// What a stamp's path may end at.
pub(super) enum StampKind {
    Time,
    FloatSecs,
}

pub(super) fn stamp_kind(ty: &FieldType) -> Option<StampKind> {
    match &ty.element {
        ElementType::Message(m) if m.role() == Role::Time => Some(StampKind::Time),
        ElementType::Primitive(Primitive::F32 | Primitive::F64) => Some(StampKind::FloatSecs),
        ElementType::Primitive(_) | ElementType::Text(_) | ElementType::Message(_) => None,
    }
}

/// Returns true if a value can be part of a name.
pub(super) fn can_be_name(ty: &FieldType) -> bool {
    match &ty.element {
        ElementType::Text(_) => true,
        ElementType::Primitive(Primitive::Bool | Primitive::F32 | Primitive::F64)
        | ElementType::Message(_) => false,
        ElementType::Primitive(_) => true,
    }
}
