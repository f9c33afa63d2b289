//! A compiled layout: what to do with each field of a message, in the order of the wire.

use std::sync::Arc;

use super::definition::{Arity, ElementType, FieldType, MessageType, Primitive, TextKind, Uniform};
use super::path::Slice;
use crate::track::Column;

/// What to do with a message.
#[derive(Debug, Default)]
pub(super) struct StructPlan {
    pub(super) steps: Vec<Step>,
}

/// What to do with one field.
#[derive(Debug)]
pub(super) struct Step {
    /// The field, for errors.
    pub(super) name: Arc<str>,
    pub(super) action: Action,
}

#[derive(Debug)]
pub(super) enum Action {
    /// Nothing is wanted of it.
    Skip(FieldType),
    /// A message of which something is wanted.
    Into(StructPlan),
    /// A value for a column or a name.
    Value { value: ValuePlan, sink: Sink },
    /// A `builtin_interfaces/msg/Time` that is the row's time.
    StampTime,
    /// Float seconds that are the row's time.
    StampFloat(Primitive),
    /// An array of messages of which only the first is looked into.
    First { message: Arc<MessageType>, arity: Arity, plan: StructPlan },
    /// The array whose elements become rows.
    Each { message: Arc<MessageType>, arity: Arity, plan: StructPlan },
    /// Several things are wanted of the same bytes.
    Several(Vec<Action>),
}

/// Where a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sink {
    /// The column of this number.
    Column(usize),
    /// The name of this number.
    Name(usize),
}

/// How a value is made.
#[derive(Debug)]
pub(super) enum ValuePlan {
    Number(Primitive),
    Text(TextKind),
    /// A message of so many numbers of one type, as an array: points, vectors, quaternions.
    Vector(Uniform),
    /// An array of numbers. `blob` says that it is bytes of variable length.
    Numbers {
        of: Primitive,
        arity: Arity,
        pick: Option<Slice>,
        blob: bool,
    },
    /// An array of anything else.
    Many {
        element: ElementType,
        arity: Arity,
        pick: Option<Slice>,
        value: Box<ValuePlan>,
    },
    /// A whole message, inside an array.
    Map(Vec<(Column, ValuePlan)>),
    /// A part of a message, inside an array: the field of this number.
    Part {
        message: Arc<MessageType>,
        index: usize,
        value: Box<ValuePlan>,
    },
}
