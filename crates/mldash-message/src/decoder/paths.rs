//! Follows a layout's paths through a type: to field numbers, and to the columns below a message.

use super::super::definition::{
    Arity, ElementType, Field, FieldType, MessageType, Primitive, Role,
};
use super::super::layout::{Layout, StampSource};
use super::super::path::{FieldPath, Slice, Step};
use super::fault::LayoutProblem;
use super::reader::Hop;
use mldash_track::TIMESTAMP_COLUMN;

/// A path followed to its end.
pub(super) struct Followed<'t> {
    pub(super) hops: Vec<Hop>,
    /// The fields on the way, one for each hop.
    pub(super) fields: Vec<&'t Field>,
}

/// A column below a followed path.
pub(crate) struct Leaf {
    /// The names below the path's end, joined by dots; empty if the end itself is the column.
    pub(crate) name: String,
    pub(crate) hops: Vec<Hop>,
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
pub(crate) fn has_columns(message: &MessageType) -> bool {
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
pub(crate) fn single_message(ty: &FieldType) -> Option<&MessageType> {
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

/// The columns of a whole message, in the order of its bytes. `spent_stamp` is none of them.
pub(crate) fn columns(message: &MessageType, spent_stamp: Option<&[Hop]>) -> Vec<Leaf> {
    let frame_id = match header_of(message) {
        Some(HeaderHops { frame_id, .. }) if message.position("frame_id").is_none() => frame_id,
        _ => None,
    };
    let mut columns = leaves(message, &[], spent_stamp);
    for Leaf { name, hops } in &mut columns {
        if frame_id.as_ref() == Some(hops) {
            *name = "frame_id".to_owned();
        }
        if name == TIMESTAMP_COLUMN {
            name.push('_');
            while message.position(name).is_some() {
                name.push('_');
            }
        }
    }
    columns
}

/// The `header.stamp` that is no column, since it is the row's time.
pub(crate) fn spent_stamp(message: &MessageType, layout: &Layout) -> Option<Vec<Hop>> {
    let stamp = header_of(message)?.stamp;
    match &layout.stamp {
        StampSource::Header => Some(stamp),
        StampSource::Field(path) => {
            let (hops, _) = follow_stamp(message, path, layout.each.as_ref()).ok()?;
            (hops == stamp).then_some(stamp)
        }
        StampSource::Aside | StampSource::None => None,
    }
}

/// Follows the path of a stamp to a time or float seconds. Arrays stand for their first element.
pub(super) fn follow_stamp(
    element: &MessageType,
    path: &FieldPath,
    each: Option<&FieldPath>,
) -> Result<(Vec<Hop>, StampKind), LayoutProblem> {
    let mut followed = follow_in_element(element, path, each)?;
    followed.take_first()?;
    let not_a_time = |ty: String, message: Option<&MessageType>| {
        let below = message.and_then(time_below);
        LayoutProblem::NotATime { ty, nearest: below.map(|b| format!("{path}.{b}")) }
    };
    let Some(end) = followed.end() else {
        return Err(not_a_time(element.name().to_string(), Some(element)));
    };
    match stamp_kind(&end.ty) {
        Some(kind) => Ok((followed.hops, kind)),
        None => Err(not_a_time(end.ty.to_string(), end.ty.message().map(|m| &**m))),
    }
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
