//! What happens to a topic's byte arrays: which of them are pictures and clouds, which stay in the
//! row, and which become files.

use std::ops::{Deref, Range};
use std::sync::Arc;

use super::account::DropReason;
use super::frames::FramePart;
use crate::blob::{Blob, BlobError, BlobKind, FileFormats};
use crate::mapping::{Blobs, BlobsTo};
use mldash_message::{
    Arity, ByteArrays, Decoder, Element, FieldSelection, FieldType, Layout, LeftOut, LeftOutColumn,
    MessageType, SelectedField, StampSource,
};
use mldash_track::{Fields, Value, one_line};

/// Byte arrays up to this size stay in the row unless the mapping says otherwise. Pictures and
/// clouds don't, whatever their size, so that rows of one topic look alike.
const INLINE_BYTES: usize = 64 << 10;
/// The field with the bytes of a picture or a cloud.
const DATA: &str = "data";
/// The limit on pictures and clouds within a message of another type.
const MAX_NESTED: usize = 16;

/// How a topic's byte arrays are treated.
#[derive(Debug)]
pub(super) struct BlobPlan {
    to: BlobsTo,
    formats: FileFormats,
    /// `None`: nothing stays in the row.
    max_inline_bytes: Option<usize>,
    /// What the whole message is.
    kind: BlobKind,
    /// The pictures and clouds in it.
    typed: Vec<TypedBlob>,
}

/// A byte array that is a picture or a cloud.
#[derive(Debug)]
struct TypedBlob {
    kind: BlobKind,
    /// The path to it.
    path: String,
    /// Decodes the fields that describe it, whatever columns the mapping selects.
    about: Decoder,
}

/// Bytes of a message, without a copy.
#[derive(Clone, Debug)]
pub(super) struct RawBytes {
    message: Arc<Vec<u8>>,
    place: Range<usize>,
}

/// Why a message is not recorded.
pub(super) struct Refusal {
    pub(super) reason: DropReason,
    pub(super) why: String,
}

impl Deref for RawBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.message.get(self.place.clone()).unwrap_or_default()
    }
}

impl PartialEq for RawBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl BlobPlan {
    pub(super) fn new(blobs: Blobs, message: &Arc<MessageType>, is_each: bool) -> Self {
        let typed = if is_each { Vec::new() } else { typed_blobs(message) };
        let whole = typed.iter().find(|typed| typed.path == DATA);
        let kind = whole.map_or(BlobKind::Bytes, |typed| typed.kind);
        let default = (kind == BlobKind::Bytes).then_some(INLINE_BYTES);
        let set = blobs.max_inline.map(|bytes| usize::try_from(bytes.get()).unwrap_or(usize::MAX));
        Self {
            to: blobs.to,
            formats: blobs.formats,
            max_inline_bytes: set.or(default),
            kind,
            typed,
        }
    }

    /// Returns true if messages are not recorded at all: they contain little besides what is
    /// dropped.
    pub(super) fn drops_messages(&self) -> bool {
        self.to == BlobsTo::Drop && self.kind != BlobKind::Bytes
    }

    /// What the decoder of the rows leaves to this plan.
    pub(super) fn byte_arrays(&self) -> ByteArrays {
        match (self.to, self.kind) {
            (BlobsTo::Drop, _) => ByteArrays::LeaveOut,
            (BlobsTo::File, BlobKind::Bytes) => {
                ByteArrays::KeepUpTo { max_bytes: self.max_inline_bytes.unwrap_or_default() }
            }
            (BlobsTo::Inline, BlobKind::Cloud) | (BlobsTo::File, _) => ByteArrays::LeaveOut,
            (BlobsTo::Inline, _) => ByteArrays::Keep,
        }
    }

    /// Returns true if byte arrays that the decoder left out are dropped.
    pub(super) fn leaves_out(&self) -> bool {
        self.to == BlobsTo::Drop
    }

    /// Returns true if `array` can be a column of a row. The points of a cloud become several
    /// columns, which only its messages tell.
    pub(super) fn may_be_a_column(&self, array: &LeftOutColumn) -> bool {
        let stays = match self.to {
            BlobsTo::Inline => true,
            BlobsTo::File => self.max_inline_bytes.is_some(),
            BlobsTo::Drop => false,
        };
        stays && self.kind_of(array) != BlobKind::Cloud
    }

    /// The prefix of the columns that describe the file of `array`, and its kind; `None` if it
    /// becomes no file.
    pub(super) fn file_columns(&self, array: &LeftOutColumn) -> Option<(String, BlobKind)> {
        let is_typed = self.typed(array).is_some();
        (self.to == BlobsTo::File).then(|| (prefix(array, is_typed), self.kind_of(array)))
    }

    /// Why rows lack bytes of their messages, if they do.
    pub(super) fn lacks(&self, message: &MessageType) -> Option<&'static str> {
        let has_cloud = self.typed.iter().any(|typed| typed.kind == BlobKind::Cloud);
        match self.to {
            BlobsTo::Drop if has_byte_array(message) => {
                Some("`blobs: drop` leaves byte arrays out")
            }
            BlobsTo::Inline if has_cloud => Some("`blobs: inline` makes columns of clouds"),
            BlobsTo::Drop | BlobsTo::Inline | BlobsTo::File => None,
        }
    }

    /// The names of the columns that hold the fields which describe `array`, and those names.
    pub(super) fn described_by(
        &self,
        array: &LeftOutColumn,
    ) -> impl Iterator<Item = (&'static str, String)> {
        let owner = array.name.strip_suffix(DATA).unwrap_or_default().to_owned();
        self.kind_of(array).fields().iter().map(move |field| (*field, format!("{owner}{field}")))
    }

    fn typed(&self, array: &LeftOutColumn) -> Option<&TypedBlob> {
        self.typed.iter().find(|typed| *typed.path == *array.path)
    }

    fn kind_of(&self, array: &LeftOutColumn) -> BlobKind {
        self.typed(array).map_or(BlobKind::Bytes, |typed| typed.kind)
    }

    /// Puts back into the row what stays there, and returns what becomes files.
    pub(super) fn place(
        &self,
        element: &mut Element,
        message: &Arc<Vec<u8>>,
    ) -> Result<Vec<FramePart>, Refusal> {
        let mut parts = Vec::new();
        for array in std::mem::take(&mut element.left_out) {
            let Some(column) = &array.column else {
                return Err(in_a_list(&array));
            };
            let typed = self.typed(column).filter(|_| array.place().is_some());
            let blob = match typed {
                Some(typed) => typed.blob(message, array.len()).map_err(Refusal::malformed)?,
                None => Blob::Bytes,
            };
            let raw = RawBytes::of(&array, message);
            let is_small = self.max_inline_bytes.is_some_and(|max| array.len() <= max);
            let stays = self.to == BlobsTo::Inline || is_small;
            match (stays, blob) {
                (true, Blob::Cloud(cloud)) => {
                    let columns = cloud.columns(&raw).map_err(Refusal::malformed)?;
                    let prefix = prefix(column, true);
                    for (name, value) in cloud.facts() {
                        element.fields.insert(format!("{prefix}{name}"), value);
                    }
                    for (name, value) in columns {
                        insert_beside(&mut element.fields, format!("{prefix}{name}"), value);
                    }
                }
                (true, _) => element.fields.insert(column.name.clone(), raw.to_vec()),
                (false, blob) => {
                    let prefix = prefix(column, typed.is_some());
                    let folder = prefix.trim_end_matches('.').replace('.', "/");
                    parts.push(FramePart { blob, raw, formats: self.formats, folder, prefix });
                }
            }
        }
        Ok(parts)
    }
}

impl TypedBlob {
    fn blob(&self, message: &[u8], bytes: usize) -> Result<Blob, BlobError> {
        let mut about = Vec::new();
        // The rows' decoder has accepted these bytes.
        let _ = self.about.decode(message, &mut about);
        let fields = about.pop().map(|element| element.fields).unwrap_or_default();
        Blob::new(self.kind, &fields, bytes)
    }
}

impl RawBytes {
    /// The size of the whole message.
    pub(super) fn message_bytes(&self) -> usize {
        self.message.len()
    }

    fn of(array: &LeftOut, message: &Arc<Vec<u8>>) -> Self {
        match array.place() {
            Some(place) => Self { message: message.clone(), place },
            None => {
                let bytes = array.bytes(message).into_owned();
                Self { place: 0..bytes.len(), message: Arc::new(bytes) }
            }
        }
    }
}

impl Refusal {
    fn malformed(error: BlobError) -> Self {
        Self { reason: DropReason::BlobMalformed, why: one_line(&error) }
    }
}

fn in_a_list(array: &LeftOut) -> Refusal {
    let bytes = array.len();
    let why = format!(
        "a byte array of {bytes} bytes within a list of messages can't become a file; set `blobs: \
         inline` in the mapping to keep it in the row, or `drop` to leave it out"
    );
    Refusal { reason: DropReason::BlobTooLarge, why }
}

/// The prefix of the columns that describe a file: empty if the whole message is a picture or a
/// cloud, else the path to it.
fn prefix(column: &LeftOutColumn, is_typed: bool) -> String {
    if is_typed && &*column.path == DATA {
        return String::new();
    }
    let data = column.name.strip_suffix(DATA).filter(|_| is_typed);
    match data.filter(|rest| rest.ends_with('.')) {
        Some(rest) => rest.to_owned(),
        None => format!("{}.", column.name),
    }
}

/// Adds a column, under another name if its name is taken.
pub(super) fn insert_beside(fields: &mut Fields, mut name: String, value: impl Into<Value>) {
    while fields.get(&name).is_some() {
        name.push('_');
    }
    fields.insert(name, value);
}

/// Returns true if a message, or one in it, has bytes of variable length.
fn has_byte_array(message: &MessageType) -> bool {
    message.fields().iter().any(|field| {
        field.ty.is_byte_array() || field.ty.message().is_some_and(|inner| has_byte_array(inner))
    })
}

/// The pictures and clouds in messages of a type.
fn typed_blobs(message: &Arc<MessageType>) -> Vec<TypedBlob> {
    let mut found = Vec::new();
    find_typed(message, message, "", &mut found);
    found
}

fn find_typed(
    root: &Arc<MessageType>,
    message: &MessageType,
    prefix: &str,
    found: &mut Vec<TypedBlob>,
) {
    let name = message.name().to_string();
    let kind = BlobKind::TYPED.into_iter().find(|kind| kind.message_type() == Some(&name));
    // A bag may have another definition under a well-known name. If it lacks a field, it is no
    // picture.
    if let Some(kind) = kind
        && let Some(about) = about(root, kind, prefix)
        && found.len() < MAX_NESTED
    {
        found.push(TypedBlob { kind, path: format!("{prefix}{DATA}"), about });
    }
    for field in message.fields() {
        if let FieldType { arity: Arity::One, .. } = field.ty
            && let Some(inner) = field.ty.message()
        {
            find_typed(root, inner, &format!("{prefix}{}.", field.name), found);
        }
    }
}

/// A decoder of the fields that describe the bytes.
fn about(root: &Arc<MessageType>, kind: BlobKind, prefix: &str) -> Option<Decoder> {
    let field = |name: &str| {
        let path = format!("{prefix}{name}").parse().ok()?;
        Some(SelectedField { column: name.to_owned(), path })
    };
    let fields = kind.fields().iter().map(|name| field(name)).collect::<Option<Vec<_>>>()?;
    let layout = Layout {
        stamp: StampSource::None,
        fields: FieldSelection::Only(fields),
        byte_arrays: ByteArrays::LeaveOut,
        ..Layout::default()
    };
    Decoder::compile(root, &layout).ok()
}
