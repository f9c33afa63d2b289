//! From a layout and a type to a plan. Every path is followed here, once, and everything that is
//! wrong with any of them is found.

use std::collections::HashSet;
use std::sync::Arc;

use super::definition::{Arity, ElementType, Field, FieldType, MessageType, Primitive, Role};
use super::fault::{LayoutFault, LayoutPart, LayoutProblem};
use super::layout::{ByteArrays, Layout, Selection, StampSource};
use super::path::{FieldPath, Slice, Step as PathStep};
use super::plan::{Action, Sink, Step, StructPlan, ValuePlan};
use crate::track::{Column, TIMESTAMP_COLUMN};

/// A layout compiled for a type.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) plan: StructPlan,
    /// By number: place in the row, and name.
    pub(super) columns: Vec<ColumnPlan>,
    /// Whether a row's time can come out of the message.
    pub(super) has_stamp: bool,
}

#[derive(Debug)]
pub(super) struct ColumnPlan {
    /// The entry of the selection that it belongs to.
    selected: usize,
    pub(super) name: Column,
}

/// Something that is wanted of a message: the value at the end of a path from it.
#[derive(Clone, Debug)]
struct Wish<'a> {
    steps: &'a [PathStep],
    target: Target,
    origin: Origin<'a>,
}

/// The entry of the layout that a wish comes from.
#[derive(Clone, Copy, Debug)]
struct Origin<'a> {
    part: LayoutPart,
    path: &'a FieldPath,
}

#[derive(Clone, Debug)]
enum Target {
    /// The column of this name; columns below it, if it is a message.
    Columns(String),
    Name(usize),
    Stamp,
}

/// Compiles `layout` for `message`.
pub(super) fn compile(
    message: &Arc<MessageType>,
    layout: &Layout,
) -> Result<Compiled, Vec<LayoutFault>> {
    let mut compiler = Compiler {
        byte_arrays: layout.byte_arrays,
        columns: Vec::new(),
        has_stamp: false,
        faults: Vec::new(),
    };
    let plan = match &layout.each {
        None => compiler.element(message, layout, &[]),
        Some(each) => compiler.each(message, layout, each),
    };
    compiler.check_columns(layout);
    if !compiler.faults.is_empty() {
        return Err(compiler.faults);
    }
    let mut columns = compiler.columns;
    for column in &mut columns {
        // A message's own field may have the name of the row's time.
        if &*column.name == TIMESTAMP_COLUMN {
            column.name = format!("{TIMESTAMP_COLUMN}_").into();
        }
    }
    Ok(Compiled { plan, columns, has_stamp: compiler.has_stamp })
}

impl Compiled {
    /// Column numbers in the order of the row: that of the selection, then that of the wire.
    pub(super) fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.columns.len()).collect();
        order.sort_by_key(|number| self.columns[*number].selected);
        order
    }
}

struct Compiler {
    byte_arrays: ByteArrays,
    columns: Vec<ColumnPlan>,
    has_stamp: bool,
    faults: Vec<LayoutFault>,
}

impl Compiler {
    /// The plan of a message that becomes one row. `each` is the path that led to it.
    fn element(
        &mut self,
        message: &Arc<MessageType>,
        layout: &Layout,
        each: &[PathStep],
    ) -> StructPlan {
        let whole = whole_path();
        let frame_id = frame_id_path();
        let header_stamp = header_stamp_path(message);
        let mut wishes = Vec::new();
        match &layout.stamp {
            StampSource::None => {}
            StampSource::Field(path) => {
                let origin = Origin { part: LayoutPart::Stamp, path };
                wishes.push(Wish { steps: below(path, each), target: Target::Stamp, origin });
            }
            StampSource::Header => {
                if let Some(path) = &header_stamp {
                    let origin = Origin { part: LayoutPart::Stamp, path };
                    wishes.push(Wish { steps: path.steps(), target: Target::Stamp, origin });
                }
            }
        }
        let resolved = |path: &'_ FieldPath| -> Vec<PathStep> {
            let steps = below(path, each);
            let is_short = matches!(steps, [only] if only.name == "frame_id");
            if is_short && message.position("frame_id").is_none() && has_header(message) {
                return frame_id.steps().to_vec();
            }
            steps.to_vec()
        };
        let names: Vec<Vec<PathStep>> = layout.names.iter().map(resolved).collect();
        for (i, (path, steps)) in layout.names.iter().zip(&names).enumerate() {
            let origin = Origin { part: LayoutPart::Name(i), path };
            wishes.push(Wish { steps, target: Target::Name(i), origin });
        }
        let mut selected = Vec::new();
        match &layout.fields {
            Selection::All => {
                let origin = Origin { part: LayoutPart::Field(0), path: &whole };
                let header = has_header(message);
                for field in message.fields() {
                    if header && &*field.name == "header" {
                        continue;
                    }
                    let step = PathStep { name: field.name.to_string(), slice: None };
                    selected.push((vec![step], field.name.to_string(), origin));
                }
                if header {
                    let own = message.position("frame_id").is_some();
                    let column = if own { "header.frame_id" } else { "frame_id" };
                    selected.push((frame_id.steps().to_vec(), column.to_owned(), origin));
                }
                if header && !stamps_rows(&layout.stamp, &header_stamp) {
                    let stamp = path_of(&["header", "stamp"]);
                    selected.push((stamp.steps().to_vec(), stamp.to_string(), origin));
                } else if !header && stamps_rows(&layout.stamp, &header_stamp) {
                    // A bare std_msgs/msg/Header.
                    selected.retain(|(_, column, _)| column != "stamp");
                }
            }
            Selection::Only(fields) => {
                for (i, field) in fields.iter().enumerate() {
                    let origin = Origin { part: LayoutPart::Field(i), path: &field.path };
                    selected.push((resolved(&field.path), field.column.clone(), origin));
                }
            }
        }
        for (steps, column, origin) in &selected {
            let target = Target::Columns(column.clone());
            wishes.push(Wish { steps, target, origin: *origin });
        }
        self.message(message, &wishes)
    }

    /// The plan of a message of which the elements of an array become rows.
    fn each(
        &mut self,
        message: &Arc<MessageType>,
        layout: &Layout,
        each: &FieldPath,
    ) -> StructPlan {
        self.each_below(message, layout, each, each.steps())
    }

    fn each_below(
        &mut self,
        message: &Arc<MessageType>,
        layout: &Layout,
        each: &FieldPath,
        steps: &[PathStep],
    ) -> StructPlan {
        let fault = |problem| LayoutFault::new(LayoutPart::Each, each, problem);
        let Some((step, rest)) = steps.split_first() else {
            return StructPlan::default();
        };
        let Some(wanted) = message.fields().iter().find(|field| *field.name == step.name) else {
            self.faults.push(fault(LayoutProblem::no_field(message, &step.name)));
            return StructPlan::default();
        };
        let action = match (&wanted.ty.element, wanted.ty.arity, rest) {
            _ if step.slice.is_some() => {
                let problem = LayoutProblem::NotMessages { is: format!("`{}`", each) };
                self.faults.push(fault(problem));
                skip(wanted)
            }
            (ElementType::Message(inner), Arity::One, [_, ..]) => {
                Action::Into(self.each_below(inner, layout, each, rest))
            }
            (ElementType::Message(element), Arity::Fixed(_) | Arity::Variable { .. }, []) => {
                let plan = self.element(element, layout, each.steps());
                Action::Each { message: element.clone(), arity: wanted.ty.arity, plan }
            }
            (ElementType::Message(_), _, [_, ..]) => {
                self.faults.push(fault(LayoutProblem::ThroughArray { name: step.name.clone() }));
                skip(wanted)
            }
            _ => {
                self.faults.push(fault(LayoutProblem::NotMessages { is: wanted.ty.to_string() }));
                skip(wanted)
            }
        };
        // The message's own header serves elements that have none.
        let outer_stamp = matches!(layout.stamp, StampSource::Header) && has_header(message);
        let mut action = Some(action);
        let steps = message.fields().iter().map(|field| {
            let action = if field.name == wanted.name {
                action.take().unwrap_or_else(|| skip(field))
            } else if outer_stamp && &*field.name == "header" {
                self.outer_header(field)
            } else {
                skip(field)
            };
            Step { name: field.name.clone(), action }
        });
        StructPlan { steps: steps.collect() }
    }

    fn outer_header(&mut self, field: &Field) -> Action {
        let ElementType::Message(header) = &field.ty.element else {
            return skip(field);
        };
        let path = stamp_path();
        let origin = Origin { part: LayoutPart::Stamp, path: &path };
        let wish = Wish { steps: path.steps(), target: Target::Stamp, origin };
        Action::Into(self.message(header, &[wish]))
    }

    fn message(&mut self, message: &Arc<MessageType>, wishes: &[Wish<'_>]) -> StructPlan {
        for wish in wishes {
            if let Some(step) = wish.steps.first()
                && message.position(&step.name).is_none()
            {
                self.fault(wish, LayoutProblem::no_field(message, &step.name));
            }
        }
        if message.fields().is_empty() {
            return StructPlan { steps: vec![hidden_byte()] };
        }
        let steps = message.fields().iter().map(|field| {
            let here: Vec<Here<'_>> =
                wishes.iter().filter_map(|wish| Here::of(wish, field)).collect();
            Step { name: field.name.clone(), action: self.field(field, &here) }
        });
        StructPlan { steps: steps.collect() }
    }

    /// What to do with a field of which `wishes` are wanted.
    fn field(&mut self, field: &Field, wishes: &[Here<'_>]) -> Action {
        let mut actions = Vec::new();
        if let (ElementType::Message(message), Arity::One) = (&field.ty.element, field.ty.arity) {
            let (deep, shallow): (Vec<&Here<'_>>, Vec<&Here<'_>>) =
                wishes.iter().partition(|here| here.goes_into(message));
            let deep: Vec<Wish<'_>> =
                deep.into_iter().filter_map(|h| self.inner(field, h)).collect();
            if !deep.is_empty() {
                actions.push(Action::Into(self.message(message, &deep)));
            }
            actions.extend(shallow.into_iter().filter_map(|here| self.leaf(field, here)));
        } else {
            actions.extend(wishes.iter().filter_map(|here| self.leaf(field, here)));
        }
        match actions.len() {
            0 => skip(field),
            1 => actions.remove(0),
            _ => Action::Several(actions),
        }
    }

    /// A wish as seen from inside of a message field.
    fn inner<'a>(&mut self, field: &Field, here: &Here<'a>) -> Option<Wish<'a>> {
        if here.slice.is_some() {
            self.fault(&here.wish, not_an_array(field));
            return None;
        }
        Some(here.wish.clone())
    }

    /// What is wanted of a field that is not gone into, or of an array.
    fn leaf(&mut self, field: &Field, here: &Here<'_>) -> Option<Action> {
        if let Target::Stamp = here.wish.target {
            return self.stamp(field, here);
        }
        let value = self.value(field, here)?;
        let sink = match &here.wish.target {
            Target::Columns(name) => {
                let selected = match here.wish.origin.part {
                    LayoutPart::Field(i) => i,
                    LayoutPart::Each | LayoutPart::Stamp | LayoutPart::Name(_) => 0,
                };
                self.columns.push(ColumnPlan { selected, name: name.as_str().into() });
                Sink::Column(self.columns.len() - 1)
            }
            Target::Name(i) if can_be_name(&value) => Sink::Name(*i),
            _ => {
                self.fault(&here.wish, LayoutProblem::NotAName { is: field.ty.to_string() });
                return None;
            }
        };
        Some(Action::Value { value, sink })
    }

    fn stamp(&mut self, field: &Field, here: &Here<'_>) -> Option<Action> {
        let rest = here.wish.steps;
        let action = match (&field.ty.element, field.ty.arity) {
            (ElementType::Message(time), Arity::One)
                if rest.is_empty() && time.role() == Role::Time =>
            {
                Action::StampTime
            }
            (ElementType::Primitive(float @ (Primitive::F32 | Primitive::F64)), Arity::One)
                if rest.is_empty() =>
            {
                Action::StampFloat(*float)
            }
            (ElementType::Message(message), Arity::Fixed(_) | Arity::Variable { .. })
                if matches!(here.slice, None | Some(Slice::Index(0))) && !rest.is_empty() =>
            {
                let plan = self.message(message, std::slice::from_ref(&here.wish));
                return Some(Action::First {
                    message: message.clone(),
                    arity: field.ty.arity,
                    plan,
                });
            }
            _ => {
                self.fault(&here.wish, LayoutProblem::NotATime { is: field.ty.to_string() });
                return None;
            }
        };
        self.has_stamp = true;
        Some(action)
    }

    fn value(&mut self, field: &Field, here: &Here<'_>) -> Option<ValuePlan> {
        let rest = here.wish.steps;
        match (&field.ty.element, field.ty.arity) {
            (_, Arity::One) if here.slice.is_some() => {
                self.fault(&here.wish, not_an_array(field));
                None
            }
            (ElementType::Primitive(_) | ElementType::Text(_), _) if !rest.is_empty() => {
                let problem = LayoutProblem::NoFieldsBelow {
                    name: field.name.to_string(),
                    is: field.ty.to_string(),
                };
                self.fault(&here.wish, problem);
                None
            }
            (ElementType::Message(_), Arity::Fixed(_) | Arity::Variable { .. })
                if matches!(here.wish.target, Target::Name(_)) && !is_index(here.slice) =>
            {
                let problem = LayoutProblem::ThroughArray { name: field.name.to_string() };
                self.fault(&here.wish, problem);
                None
            }
            (ElementType::Primitive(of), Arity::Fixed(_) | Arity::Variable { .. }) => {
                let variable = matches!(field.ty.arity, Arity::Variable { .. });
                let blob = variable && *of == Primitive::U8 && self.byte_arrays != ByteArrays::Keep;
                Some(ValuePlan::Numbers { of: *of, arity: field.ty.arity, pick: here.slice, blob })
            }
            (element, Arity::One) => self.single(element, &here.wish),
            (element, arity) => {
                let value = Box::new(self.single(element, &here.wish)?);
                Some(ValuePlan::Many { element: element.clone(), arity, pick: here.slice, value })
            }
        }
    }

    /// One value, or the part of it that the rest of the path leads to.
    fn single(&mut self, element: &ElementType, wish: &Wish<'_>) -> Option<ValuePlan> {
        let message = match element {
            ElementType::Primitive(primitive) => return Some(ValuePlan::Number(*primitive)),
            ElementType::Text(kind) => return Some(ValuePlan::Text(*kind)),
            ElementType::Message(message) => message,
        };
        let Some(step) = wish.steps.first() else {
            return Some(self.whole(message));
        };
        let Some(index) = message.position(&step.name) else {
            self.fault(wish, LayoutProblem::no_field(message, &step.name));
            return None;
        };
        let here = Here::of(wish, &message.fields()[index])?;
        let value = Box::new(self.value(&message.fields()[index], &here)?);
        Some(ValuePlan::Part { message: message.clone(), index, value })
    }

    /// A whole message inside an array.
    fn whole(&mut self, message: &Arc<MessageType>) -> ValuePlan {
        if let Role::Vector(uniform) = message.role() {
            return ValuePlan::Vector(uniform);
        }
        let path = whole_path();
        let origin = Origin { part: LayoutPart::Field(0), path: &path };
        let wish = Wish { steps: &[], target: Target::Columns(String::new()), origin };
        let entries = message.fields().iter().filter_map(|field| {
            let here = Here { slice: None, wish: wish.clone() };
            Some((Column::from(&*field.name), self.value(field, &here)?))
        });
        ValuePlan::Map(entries.collect())
    }

    fn fault(&mut self, wish: &Wish<'_>, problem: LayoutProblem) {
        let fault = LayoutFault::new(wish.origin.part, wish.origin.path, problem);
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Each name once, and none the row's own; with all fields, names are the message's.
    fn check_columns(&mut self, layout: &Layout) {
        let Selection::Only(selected) = &layout.fields else {
            return;
        };
        let mut seen = HashSet::new();
        for column in &self.columns {
            let problem = if &*column.name == TIMESTAMP_COLUMN {
                LayoutProblem::ReservedColumn
            } else if !seen.insert(column.name.clone()) {
                LayoutProblem::DuplicateColumn { column: column.name.to_string() }
            } else {
                continue;
            };
            if let Some(field) = selected.get(column.selected) {
                let part = LayoutPart::Field(column.selected);
                self.faults.push(LayoutFault::new(part, &field.path, problem));
            }
        }
    }
}

/// A wish as it arrives at a field: the elements taken of it, and what is wanted below.
struct Here<'a> {
    slice: Option<Slice>,
    wish: Wish<'a>,
}

impl<'a> Here<'a> {
    fn of(wish: &Wish<'a>, field: &Field) -> Option<Self> {
        let Some((step, rest)) = wish.steps.split_first() else {
            // A message that is wanted whole: its columns are named after its fields.
            let Target::Columns(prefix) = &wish.target else {
                return None;
            };
            let target = Target::Columns(format!("{prefix}.{}", field.name));
            return Some(Self { slice: None, wish: Wish { target, ..wish.clone() } });
        };
        let fits = *step.name == *field.name;
        fits.then(|| Self { slice: step.slice, wish: Wish { steps: rest, ..wish.clone() } })
    }

    /// Whether what is wanted lies inside the message, or is it spread over columns.
    fn goes_into(&self, message: &MessageType) -> bool {
        match self.wish.target {
            _ if !self.wish.steps.is_empty() => true,
            Target::Columns(_) => !matches!(message.role(), Role::Vector(_)),
            Target::Name(_) | Target::Stamp => false,
        }
    }
}

/// A path below `each`, which it may repeat.
fn below<'a>(path: &'a FieldPath, each: &[PathStep]) -> &'a [PathStep] {
    path.steps().strip_prefix(each).filter(|rest| !rest.is_empty()).unwrap_or(path.steps())
}

fn path_of(names: &[&str]) -> FieldPath {
    FieldPath::from_names(names)
}

fn whole_path() -> FieldPath {
    path_of(&["*"])
}

fn frame_id_path() -> FieldPath {
    path_of(&["header", "frame_id"])
}

fn stamp_path() -> FieldPath {
    path_of(&["stamp"])
}

/// Where a message keeps its header's stamp.
fn header_stamp_path(message: &MessageType) -> Option<FieldPath> {
    if message.role() == Role::Header {
        return Some(stamp_path());
    }
    has_header(message).then(|| path_of(&["header", "stamp"]))
}

/// Whether the header's stamp is the row's time, and so no column.
fn stamps_rows(source: &StampSource, header_stamp: &Option<FieldPath>) -> bool {
    match (source, header_stamp) {
        (StampSource::Header, Some(_)) => true,
        (StampSource::Field(path), Some(header_stamp)) => path == header_stamp,
        _ => false,
    }
}

fn has_header(message: &MessageType) -> bool {
    message.position("header").is_some_and(|header| {
        let header = &message.fields()[header].ty;
        header.arity == Arity::One && header.message().is_some_and(|m| m.role() == Role::Header)
    })
}

fn skip(field: &Field) -> Action {
    Action::Skip(field.ty.clone())
}

/// What rosidl puts into a message without fields.
fn hidden_byte() -> Step {
    let element = ElementType::Primitive(Primitive::U8);
    Step { name: "".into(), action: Action::Skip(FieldType { element, arity: Arity::One }) }
}

fn not_an_array(field: &Field) -> LayoutProblem {
    LayoutProblem::NotAnArray { name: field.name.to_string(), is: field.ty.to_string() }
}

fn is_index(slice: Option<Slice>) -> bool {
    matches!(slice, Some(Slice::Index(_)))
}

fn can_be_name(value: &ValuePlan) -> bool {
    match value {
        ValuePlan::Number(primitive) => !matches!(primitive, Primitive::F32 | Primitive::F64),
        ValuePlan::Text(_) => true,
        ValuePlan::Numbers { of, pick, .. } => {
            is_index(*pick) && !matches!(of, Primitive::F32 | Primitive::F64)
        }
        ValuePlan::Many { pick, value, .. } => is_index(*pick) && can_be_name(value),
        ValuePlan::Part { value, .. } => can_be_name(value),
        ValuePlan::Vector(_) | ValuePlan::Map(_) => false,
    }
}
