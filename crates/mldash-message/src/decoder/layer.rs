//! Lays out a message as the parts that its bytes consist of, each with what is selected of it. Makes
//! the program from them.

use std::collections::HashMap;

use super::super::definition::{Arity, ElementType, FieldType, MessageType, Primitive, Role};
use super::super::path::Slice;
use super::program::{Block, BlockPart, BlockRead, Part, PartUse, Program, Step, Target};
use super::reader::Hop;

/// The largest alignment in CDR, and the alignment of a message's first byte.
pub(super) const BODY_ALIGN: usize = 8;

/// The number itself, where there is no array.
const ITSELF: Slice = Slice::Index(0);

/// Consecutive parts of a message; nested messages are expanded.
#[derive(Default)]
pub(super) struct Layer {
    parts: Vec<LayerPart>,
    /// Parts by the field numbers that lead to them.
    places: HashMap<Vec<usize>, usize>,
}

struct LayerPart {
    path: String,
    bytes: PartBytes,
    uses: Vec<PartUse>,
}

enum PartBytes {
    /// Numbers whose count is part of the type. `is_array`: they are one column.
    Fixed { primitive: Primitive, count: usize, is_array: bool },
    /// Everything whose size depends on the bytes.
    Varying(FieldType),
}

impl Layer {
    /// The parts of a message.
    pub(super) fn of(message: &MessageType) -> Self {
        let mut layer = Self::default();
        layer.spread(message, &mut Vec::new(), "");
        layer
    }

    fn spread(&mut self, message: &MessageType, fields: &mut Vec<usize>, path: &str) {
        if message.fields().is_empty() {
            // rosidl's structure_needs_at_least_one_member.
            let bytes = PartBytes::Fixed { primitive: Primitive::U8, count: 1, is_array: false };
            self.parts.push(LayerPart { path: path.to_owned(), bytes, uses: Vec::new() });
        }
        for (number, field) in message.fields().iter().enumerate() {
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{}", field.name);
            fields.push(number);
            match &field.ty {
                FieldType { element: ElementType::Message(inner), arity: Arity::One }
                    if !matches!(inner.role(), Role::Vector(_)) =>
                {
                    self.spread(inner, fields, &path);
                }
                ty => {
                    self.places.insert(fields.clone(), self.parts.len());
                    self.parts.push(LayerPart { path, bytes: part_bytes(ty), uses: Vec::new() });
                }
            }
            fields.pop();
        }
    }

    /// Selects what `hops` lead to.
    pub(super) fn want(&mut self, hops: &[Hop], to: Target) {
        let mut fields = Vec::with_capacity(hops.len());
        for (i, hop) in hops.iter().enumerate() {
            fields.push(hop.field);
            if let Some(part) = self.places.get(&fields).and_then(|at| self.parts.get_mut(*at)) {
                let rest = hops[i + 1..].to_vec();
                part.uses.push(PartUse { slice: hop.slice, rest, to });
                return;
            }
        }
    }

    /// Splits at the part that `hops` lead to: the parts before, its type and path, the parts
    /// after.
    pub(super) fn split_at(self, hops: &[Hop]) -> Option<(Self, FieldType, String, Self)> {
        let fields: Vec<usize> = hops.iter().map(|hop| hop.field).collect();
        let at = *self.places.get(&fields)?;
        let mut parts = self.parts.into_iter();
        let before = Self { parts: parts.by_ref().take(at).collect(), places: HashMap::new() };
        let part = parts.next()?;
        let after = Self { parts: parts.collect(), places: HashMap::new() };
        match part.bytes {
            PartBytes::Varying(ty) => Some((before, ty, part.path, after)),
            PartBytes::Fixed { .. } => None,
        }
    }

    /// The steps over the parts. The first one is at a multiple of `align`.
    pub(super) fn program(self, align: usize) -> Program {
        let mut steps = Vec::new();
        let mut block = Block::at(align);
        for part in self.parts {
            match part.bytes {
                PartBytes::Fixed { primitive, count, is_array } => {
                    if primitive.size_bytes() > block.align {
                        block.close(&mut steps);
                        block = Block::at(primitive.size_bytes());
                    }
                    block.add(part.path, primitive, count, is_array, &part.uses);
                }
                PartBytes::Varying(ty) => {
                    block.close(&mut steps);
                    block = Block::at(1);
                    let path = part.path.into();
                    steps.push(Step::Part(Part { path, ty, uses: part.uses }));
                }
            }
        }
        block.close(&mut steps);
        Program { steps }
    }
}

fn part_bytes(ty: &FieldType) -> PartBytes {
    match (&ty.element, ty.arity) {
        (ElementType::Primitive(primitive), Arity::One) => {
            PartBytes::Fixed { primitive: *primitive, count: 1, is_array: false }
        }
        (ElementType::Primitive(primitive), Arity::Fixed(count)) => {
            PartBytes::Fixed { primitive: *primitive, count, is_array: true }
        }
        (ElementType::Message(message), Arity::One) => match message.role() {
            Role::Vector(v) => {
                PartBytes::Fixed { primitive: v.primitive, count: v.count, is_array: true }
            }
            Role::Plain | Role::Time | Role::Header => PartBytes::Varying(ty.clone()),
        },
        _ => PartBytes::Varying(ty.clone()),
    }
}

impl Block {
    fn at(align: usize) -> Self {
        Self { align, size_bytes: 0, reads: Vec::new(), parts: Vec::new() }
    }

    fn add(
        &mut self,
        path: String,
        primitive: Primitive,
        count: usize,
        is_array: bool,
        uses: &[PartUse],
    ) {
        let size = primitive.size_bytes();
        let start = self.size_bytes.checked_next_multiple_of(size).unwrap_or(usize::MAX);
        let end = start.saturating_add(count.saturating_mul(size));
        for wanted in uses {
            // The components of a vector have the numbers of its fields.
            let slice = match wanted.rest.first() {
                Some(component) => i64::try_from(component.field).ok().map(Slice::Index),
                None if is_array => wanted.slice,
                None => Some(ITSELF),
            };
            self.reads.push(BlockRead { start, end, primitive, slice, to: wanted.to });
        }
        self.size_bytes = end;
        self.parts.push(BlockPart { start, end, path });
    }

    fn close(self, steps: &mut Vec<Step>) {
        if !self.parts.is_empty() {
            steps.push(Step::Block(self));
        }
    }
}
