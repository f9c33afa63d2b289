//! The compiled steps from a message's first byte to its last, and what each yields.

use std::sync::Arc;

use super::super::definition::{FieldType, Primitive};
use super::super::path::Slice;
use super::cdr;
use super::error::{DecodeProblem, Fault};
use super::reader::{Hop, Reader};
use super::row::RowBuilder;

/// Values of up to this size are not counted against the limit: no definition has enough of them to
/// matter.
const FEW_BYTES: usize = 1 << 10;

/// The steps over consecutive parts of a message.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
}

/// One step.
#[derive(Debug)]
pub(super) enum Step {
    /// Numbers whose positions follow from that of the first.
    Block(Block),
    /// Anything else.
    Part(Part),
}

/// Consecutive numbers and arrays of fixed size, checked and located together.
#[derive(Debug)]
pub(super) struct Block {
    /// The alignment of its first number, the largest within.
    pub(super) align: usize,
    pub(super) size_bytes: usize,
    pub(super) reads: Vec<BlockRead>,
    /// For errors.
    pub(super) parts: Vec<BlockPart>,
}

/// The position of a field in a block.
#[derive(Debug)]
pub(super) struct BlockPart {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) path: String,
}

/// Numbers selected from a block.
#[derive(Debug)]
pub(super) struct BlockRead {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) primitive: Primitive,
    /// `Index(0)` if it is not an array.
    pub(super) slice: Option<Slice>,
    pub(super) to: Target,
}

/// A part whose size is known only from its bytes.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) path: Arc<str>,
    pub(super) ty: FieldType,
    /// What is selected of it; if nothing, it is skipped.
    pub(super) uses: Vec<PartUse>,
}

/// Something selected of a part.
#[derive(Debug)]
pub(super) struct PartUse {
    pub(super) slice: Option<Slice>,
    pub(super) rest: Vec<Hop>,
    pub(super) to: Target,
}

/// Where a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Column(usize),
    Name(usize),
    Stamp(StampPart),
}

/// The part of a time that a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StampPart {
    Sec,
    Nanosec,
    FloatSecs,
}

impl Program {
    pub(super) fn run<const LITTLE: bool>(
        &self,
        reader: &mut Reader<'_, LITTLE>,
        row: &mut RowBuilder<'_>,
    ) -> Result<(), Box<Fault>> {
        for step in &self.steps {
            match step {
                Step::Block(block) => block.run(reader, row)?,
                Step::Part(part) => {
                    part.run(reader, row).map_err(|fault| fault.in_field(&part.path))?;
                }
            }
        }
        Ok(())
    }
}

impl Block {
    fn run<const LITTLE: bool>(
        &self,
        reader: &mut Reader<'_, LITTLE>,
        row: &mut RowBuilder<'_>,
    ) -> Result<(), Box<Fault>> {
        let bytes =
            reader.cdr.take(self.align, self.size_bytes).map_err(|fault| self.at_part(*fault))?;
        for read in &self.reads {
            let numbers = bytes.get(read.start..read.end).unwrap_or_default();
            if numbers.len() > FEW_BYTES {
                let count = numbers.len() / read.primitive.size_bytes();
                reader
                    .claim_numbers(read.primitive, count, read.slice)
                    .map_err(|fault| fault.in_field(self.path_at(read.end)))?;
            }
            let value = cdr::pick::<LITTLE>(read.primitive, numbers, read.slice).map_err(|p| {
                let start = reader.cdr.at() - self.size_bytes;
                Fault::new(start + read.start, p).in_field(self.path_at(read.end))
            })?;
            row.put(read.to, value);
        }
        Ok(())
    }

    /// Finds the part in which a block that is cut short ends.
    #[cold]
    fn at_part(&self, fault: Fault) -> Box<Fault> {
        let DecodeProblem::Truncated { remaining_bytes, .. } = fault.problem else {
            return Box::new(fault);
        };
        let Some(part) = self.parts.iter().find(|part| part.end > remaining_bytes) else {
            return Box::new(fault);
        };
        let problem = DecodeProblem::Truncated {
            needed_bytes: part.end - part.start,
            remaining_bytes: remaining_bytes.saturating_sub(part.start),
        };
        Fault::new(fault.at + part.start.min(remaining_bytes), problem).in_field(&part.path)
    }

    fn path_at(&self, end: usize) -> &str {
        self.parts.iter().find(|part| part.end >= end).map_or("", |part| &part.path)
    }
}

impl Part {
    fn run<const LITTLE: bool>(
        &self,
        reader: &mut Reader<'_, LITTLE>,
        row: &mut RowBuilder<'_>,
    ) -> Result<(), Box<Fault>> {
        if self.uses.is_empty() {
            return reader.skip(&self.ty);
        }
        let start = reader.cdr.at();
        for wanted in &self.uses {
            reader.cdr.seek(start);
            match reader.read(&self.ty, wanted.slice, &wanted.rest)? {
                Some(value) => row.put(wanted.to, value),
                None => {
                    if let Some(column) = row.column(wanted.to) {
                        reader.name_left_out(column, &self.path);
                    }
                }
            }
        }
        Ok(())
    }
}
