//! Compiles a message type and a layout into a decoder, or finds everything that does not fit.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::definition::{Arity, ElementType, MessageType, TextKind};
use super::super::layout::{FieldSelection, Layout, SelectedField, StampSource};
use super::super::path::FieldPath;
use super::fault::{LayoutFault, LayoutPart, LayoutProblem};
use super::layer::{BODY_ALIGN, Layer};
use super::paths::{
    self, Followed, StampKind, can_be_name, columns, follow, follow_in_element, follow_stamp,
    leaves, spent_stamp,
};
use super::program::{StampPart, Target};
use super::reader::Hop;
use super::row::{ColumnOrder, Columns};
use super::types::{byte_array, column_type, message_of};
use super::{Decoder, Each};
use mldash_track::{Column, TIMESTAMP_COLUMN};

/// Compiles `layout` for messages of type `message`.
pub(super) fn compile(
    message: &Arc<MessageType>,
    layout: &Layout,
) -> Result<Decoder, Vec<LayoutFault>> {
    let each = match &layout.each {
        None => None,
        Some(path) => Some(follow_each(message, path).map_err(|problem| {
            vec![LayoutFault { part: LayoutPart::Each, path: path.to_string(), problem }]
        })?),
    };
    let element = match each.as_ref().and_then(Followed::end) {
        Some(array) => array.ty.message().unwrap_or(message),
        None => message,
    };
    let mut wanted = Wanted { spent_stamp: spent_stamp(element, layout), ..Wanted::default() };
    wanted.stamp(element, layout);
    wanted.names(element, layout);
    wanted.columns(element, layout);
    if !wanted.faults.is_empty() {
        return Err(wanted.faults);
    }
    let column_hops = wanted.hops.iter().filter(|(_, to)| matches!(to, Target::Column(_)));
    let column_hops: Vec<&[Hop]> = column_hops.map(|(hops, _)| &hops[..]).collect();
    let types = column_hops.iter().map(|hops| column_type(element, hops, layout.byte_arrays));
    let types = types.collect();
    let messages = column_hops.iter().map(|hops| message_of(element, hops)).collect();
    let byte_arrays = wanted.columns.iter().zip(&column_hops);
    let byte_arrays = byte_arrays.filter_map(|(name, hops)| byte_array(element, hops, name));
    let byte_arrays = byte_arrays.collect();
    let mut rows = Layer::of(element);
    for (hops, to) in &wanted.hops {
        rows.want(hops, *to);
    }
    let mut has_stamp_source = wanted.has_stamp_source;
    let mut decoder = Decoder {
        type_name: message.name().clone(),
        before: Layer::default().program(BODY_ALIGN),
        each: None,
        rows: Layer::default().program(BODY_ALIGN),
        after: Layer::default().program(BODY_ALIGN),
        columns: Columns {
            names: wanted.columns,
            types,
            messages,
            byte_arrays,
            order: wanted.order,
        },
        names: layout.names.len(),
        has_stamp_source,
        notes_stamp: wanted.notes_stamp,
        has_wide_text: has_wide_text(message),
        byte_arrays: layout.byte_arrays,
    };
    let Some(each) = each else {
        decoder.rows = rows.program(BODY_ALIGN);
        return Ok(decoder);
    };
    let mut around = Layer::of(message);
    if matches!(layout.stamp, StampSource::Header | StampSource::Aside)
        && let Some(header) = paths::header_of(message)
    {
        // The message's time is used for elements that have none.
        want_time(&header.stamp, &mut |hops, to| around.want(&hops, to));
        has_stamp_source = layout.stamp == StampSource::Header;
        decoder.notes_stamp = true;
    }
    if let Some((before, ty, path, after)) = around.split_at(&each.hops) {
        decoder.before = before.program(BODY_ALIGN);
        decoder.each = Some(Each { ty, path });
        decoder.after = after.program(1);
    }
    decoder.rows = rows.program(1);
    decoder.has_stamp_source = has_stamp_source;
    Ok(decoder)
}

fn follow_each<'t>(
    message: &'t MessageType,
    path: &FieldPath,
) -> Result<Followed<'t>, LayoutProblem> {
    let followed = follow(message, path.steps())?;
    let Some((end, on_the_way)) = followed.fields.split_last() else {
        return Err(LayoutProblem::no_such_field("", message));
    };
    let many = on_the_way.iter().find(|field| field.ty.arity != Arity::One);
    let sliced = followed.hops.iter().zip(&followed.fields).find(|(hop, _)| hop.slice.is_some());
    if let Some(field) = many.or(sliced.map(|(_, field)| field)) {
        return Err(LayoutProblem::EachOfMany { field: field.name.to_string() });
    }
    if end.ty.arity == Arity::One || end.ty.message().is_none() {
        return Err(LayoutProblem::each_not_messages(&end.ty));
    }
    Ok(followed)
}

fn want_time(stamp: &[Hop], want: &mut impl FnMut(Vec<Hop>, Target)) {
    for (field, part) in [(0, StampPart::Sec), (1, StampPart::Nanosec)] {
        let hop = Hop { field, slice: None };
        want(stamp.iter().copied().chain([hop]).collect(), Target::Stamp(part));
    }
}

/// What a layout selects of an element, and what does not fit.
struct Wanted {
    hops: Vec<(Vec<Hop>, Target)>,
    columns: Vec<Column>,
    order: ColumnOrder,
    has_stamp_source: bool,
    notes_stamp: bool,
    /// The stamp that is no column, since it is the row's time.
    spent_stamp: Option<Vec<Hop>>,
    faults: Vec<LayoutFault>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            hops: Vec::new(),
            columns: Vec::new(),
            order: ColumnOrder::AsDecoded,
            has_stamp_source: false,
            notes_stamp: false,
            spent_stamp: None,
            faults: Vec::new(),
        }
    }
}

impl Wanted {
    fn fault(&mut self, part: LayoutPart, path: &FieldPath, problem: LayoutProblem) {
        self.faults.push(LayoutFault { part, path: path.to_string(), problem });
    }

    fn stamp(&mut self, element: &MessageType, layout: &Layout) {
        let header_stamp = paths::header_of(element).map(|header| header.stamp);
        match &layout.stamp {
            StampSource::None => {}
            StampSource::Aside => {
                if let Some(stamp) = header_stamp {
                    want_time(&stamp, &mut |hops, to| self.hops.push((hops, to)));
                    self.notes_stamp = true;
                }
            }
            StampSource::Header => {
                if let Some(stamp) = header_stamp {
                    want_time(&stamp, &mut |hops, to| self.hops.push((hops, to)));
                    (self.has_stamp_source, self.notes_stamp) = (true, true);
                }
            }
            StampSource::Field(path) => match follow_stamp(element, path, layout.each.as_ref()) {
                Err(problem) => self.fault(LayoutPart::Stamp, path, problem),
                Ok((hops, kind)) => {
                    (self.has_stamp_source, self.notes_stamp) = (true, true);
                    match kind {
                        StampKind::Time => {
                            want_time(&hops, &mut |hops, to| self.hops.push((hops, to)));
                        }
                        StampKind::FloatSecs => {
                            self.hops.push((hops, Target::Stamp(StampPart::FloatSecs)));
                        }
                    }
                }
            },
        }
    }

    fn names(&mut self, element: &MessageType, layout: &Layout) {
        for (i, path) in layout.names.iter().enumerate() {
            match follow_in_element(element, path, layout.each.as_ref()) {
                Err(problem) => self.fault(LayoutPart::Name(i), path, problem),
                Ok(followed) => {
                    let end = followed.end().map(|field| &field.ty);
                    if followed.is_single() && end.is_some_and(can_be_name) {
                        self.hops.push((followed.hops, Target::Name(i)));
                    } else {
                        let ty = end.map_or_else(|| element.name().to_string(), |t| t.to_string());
                        self.fault(LayoutPart::Name(i), path, LayoutProblem::NotAName { ty });
                    }
                }
            }
        }
    }

    fn columns(&mut self, element: &MessageType, layout: &Layout) {
        match &layout.fields {
            FieldSelection::All => self.all_columns(element),
            FieldSelection::Only(fields) => self.selected(element, fields, layout.each.as_ref()),
        }
    }

    fn all_columns(&mut self, element: &MessageType) {
        for leaf in columns(element, self.spent_stamp.as_deref()) {
            self.column(leaf.name, leaf.hops);
        }
    }

    fn selected(
        &mut self,
        element: &MessageType,
        fields: &[SelectedField],
        each: Option<&FieldPath>,
    ) {
        let mut taken: HashMap<String, &FieldPath> = HashMap::new();
        for (i, SelectedField { column, path }) in fields.iter().enumerate() {
            let part = LayoutPart::Field(i);
            if column == TIMESTAMP_COLUMN {
                let column = column.clone();
                self.fault(part, path, LayoutProblem::ReservedColumn { column });
            }
            let followed = match follow_in_element(element, path, each) {
                Ok(followed) => followed,
                Err(problem) => {
                    self.fault(part, path, problem);
                    continue;
                }
            };
            let below = match followed.end_message(element) {
                Some(message) => leaves(message, &followed.hops, self.spent_stamp.as_deref())
                    .into_iter()
                    .map(|leaf| (format!("{column}.{}", leaf.name), leaf.hops))
                    .collect(),
                None => vec![(column.clone(), followed.hops)],
            };
            for (column, hops) in below {
                if let Some(taken_by) = taken.get(&column) {
                    let taken_by = taken_by.to_string();
                    self.fault(part, path, LayoutProblem::DuplicateColumn { column, taken_by });
                    break;
                }
                taken.insert(column.clone(), path);
                self.column(column, hops);
            }
        }
        if !in_wire_order(&self.hops) {
            self.order = ColumnOrder::Sorted;
        }
    }

    fn column(&mut self, name: String, hops: Vec<Hop>) {
        self.hops.push((hops, Target::Column(self.columns.len())));
        self.columns.push(name.into());
    }
}

/// Returns true if a message has a wstring anywhere, selected or not.
fn has_wide_text(message: &MessageType) -> bool {
    message.fields().iter().any(|field| match &field.ty.element {
        ElementType::Text(kind) => *kind == TextKind::Wide,
        ElementType::Message(inner) => has_wide_text(inner),
        ElementType::Primitive(_) => false,
    })
}

/// Returns true if reading a message from front to back gives the columns in order.
fn in_wire_order(hops: &[(Vec<Hop>, Target)]) -> bool {
    let fields = |hops: &[Hop]| hops.iter().map(|hop| hop.field).collect::<Vec<_>>();
    hops.iter()
        .filter(|(_, to)| matches!(to, Target::Column(_)))
        .map(|(hops, _)| fields(hops))
        .is_sorted()
}
