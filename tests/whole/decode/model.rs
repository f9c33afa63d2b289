//! Random types with random values: encoded the plain way, decoded, compared.

use std::fmt::Write as _;

use mldash_bridge::message::{
    Decoder, Element, FieldSelection, Layout, MessageType, SelectedField,
};
use mldash_bridge::track::{Fields, Row, Timestamp, Value};
use proptest::prelude::*;
use proptest::sample::Index;

use super::encoder::{ByteOrder, Encoder};
use super::{decode, everything, message};

/// A type of a field.
#[derive(Clone, Debug)]
pub(super) struct Type {
    pub(super) element: ElementOf,
    pub(super) arity: Many,
}

#[derive(Clone, Debug)]
pub(super) enum ElementOf {
    Primitive(&'static str),
    Text,
    Wide,
    Message(Vec<Type>),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Many {
    One,
    Fixed(usize),
    Any,
    UpTo(usize),
}

/// What a field holds.
#[derive(Clone, Debug)]
pub(super) enum Held {
    /// Bits of a number, as wide as its type.
    Bits(u64),
    Text(String),
    Message(Vec<Held>),
    Many(Vec<Held>),
}

const PRIMITIVES: [&str; 13] = [
    "bool", "byte", "char", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64",
    "uint64", "float32", "float64",
];

fn any_type() -> impl Strategy<Value = Type> {
    let element = prop_oneof![
        8 => prop::sample::select(&PRIMITIVES[..]).prop_map(ElementOf::Primitive),
        1 => Just(ElementOf::Text),
        1 => Just(ElementOf::Wide),
    ];
    let arity = || {
        prop_oneof![
            4 => Just(Many::One),
            1 => (1usize..4).prop_map(Many::Fixed),
            1 => Just(Many::Any),
            1 => (1usize..4).prop_map(Many::UpTo),
        ]
    };
    let leaf = (element, arity()).prop_map(|(element, arity)| Type { element, arity });
    leaf.prop_recursive(3, 24, 4, move |inner| {
        (prop::collection::vec(inner, 0..5), arity())
            .prop_map(|(fields, arity)| Type { element: ElementOf::Message(fields), arity })
    })
}

fn any_held(ty: &Type) -> BoxedStrategy<Held> {
    let one = any_element(&ty.element);
    let length = match ty.arity {
        Many::One => return one,
        Many::Fixed(n) => n..=n,
        Many::Any => 0..=4,
        Many::UpTo(max) => 0..=max,
    };
    prop::collection::vec(one, length).prop_map(Held::Many).boxed()
}

fn any_element(element: &ElementOf) -> BoxedStrategy<Held> {
    match element {
        // No NaN: it does not equal itself.
        ElementOf::Primitive("float32") => {
            use prop::num::f32::{INFINITE, NEGATIVE, NORMAL, POSITIVE, ZERO};
            let finite = NORMAL | ZERO | INFINITE | POSITIVE | NEGATIVE;
            finite.prop_map(|x| Held::Bits(x.to_bits().into())).boxed()
        }
        ElementOf::Primitive("float64") => {
            use prop::num::f64::{INFINITE, NEGATIVE, NORMAL, POSITIVE, ZERO};
            let finite = NORMAL | ZERO | INFINITE | POSITIVE | NEGATIVE;
            finite.prop_map(|x| Held::Bits(x.to_bits())).boxed()
        }
        ElementOf::Primitive("bool") => any::<bool>().prop_map(|b| Held::Bits(b.into())).boxed(),
        ElementOf::Primitive(_) => any::<u64>().prop_map(Held::Bits).boxed(),
        ElementOf::Text | ElementOf::Wide => "[a-zé😀 ]{0,6}".prop_map(Held::Text).boxed(),
        ElementOf::Message(fields) => {
            let held: Vec<_> = fields.iter().map(any_held).collect();
            held.prop_map(Held::Message).boxed()
        }
    }
}

/// Fields of a message and what they hold.
pub(super) fn any_message() -> impl Strategy<Value = (Vec<Type>, Vec<Held>)> {
    prop::collection::vec(any_type(), 0..6).prop_flat_map(|fields| {
        let held: Vec<_> = fields.iter().map(any_held).collect();
        (Just(fields), held)
    })
}

fn any_order() -> impl Strategy<Value = ByteOrder> {
    prop_oneof![Just(ByteOrder::Little), Just(ByteOrder::Big)]
}

/// The text of a definition, nested types after it.
pub(super) fn definition(fields: &[Type]) -> String {
    fn define(fields: &[Type], text: &mut String, count: &mut usize) {
        let mut nested = Vec::new();
        for (i, Type { element, arity }) in fields.iter().enumerate() {
            match element {
                ElementOf::Primitive(name) => text.push_str(name),
                ElementOf::Text => text.push_str("string"),
                ElementOf::Wide => text.push_str("wstring"),
                ElementOf::Message(fields) => {
                    write!(text, "model/T{count}").unwrap();
                    nested.push((*count, fields));
                    *count += 1;
                }
            }
            match arity {
                Many::One => {}
                Many::Fixed(n) => write!(text, "[{n}]").unwrap(),
                Many::Any => text.push_str("[]"),
                Many::UpTo(max) => write!(text, "[<={max}]").unwrap(),
            }
            writeln!(text, " f{i}").unwrap();
        }
        for (number, fields) in nested {
            write!(text, "====\nMSG: model/T{number}\n").unwrap();
            define(fields, text, count);
        }
    }
    let mut text = String::new();
    define(fields, &mut text, &mut 0);
    text
}

fn has_wide(fields: &[Type]) -> bool {
    fields.iter().any(|ty| match &ty.element {
        ElementOf::Wide => true,
        ElementOf::Message(fields) => has_wide(fields),
        ElementOf::Primitive(_) | ElementOf::Text => false,
    })
}

fn root(fields: &[Type]) -> std::sync::Arc<MessageType> {
    message("model/Root", &definition(fields))
}

fn encode(fields: &[Type], held: &[Held], order: ByteOrder) -> Vec<u8> {
    let mut encoder = Encoder::new(order);
    encode_fields(&mut encoder, fields, held);
    encoder.finish()
}

pub(super) fn encode_fields(encoder: &mut Encoder, fields: &[Type], held: &[Held]) {
    if fields.is_empty() {
        encoder.nothing();
    }
    for (ty, held) in fields.iter().zip(held) {
        match (ty.arity, held) {
            (Many::One, held) => encode_element(encoder, &ty.element, held),
            (arity, Held::Many(many)) => {
                if !matches!(arity, Many::Fixed(_)) {
                    encoder.length(many.len());
                }
                many.iter().for_each(|held| encode_element(encoder, &ty.element, held));
            }
            other => panic!("{other:?}"),
        }
    }
}

fn encode_element(encoder: &mut Encoder, element: &ElementOf, held: &Held) {
    match (element, held) {
        (ElementOf::Primitive(name), Held::Bits(bits)) => {
            match size_bits(name) {
                8 => encoder.number((*bits as u8).to_le_bytes()),
                16 => encoder.number((*bits as u16).to_le_bytes()),
                32 => encoder.number((*bits as u32).to_le_bytes()),
                _ => encoder.number(bits.to_le_bytes()),
            };
        }
        (ElementOf::Text, Held::Text(text)) => {
            encoder.text(text);
        }
        (ElementOf::Wide, Held::Text(text)) => {
            let units: Vec<u16> = text.encode_utf16().collect();
            encoder.length(units.len());
            for unit in units {
                encoder.number(u32::from(unit).to_le_bytes());
            }
        }
        (ElementOf::Message(fields), Held::Message(held)) => encode_fields(encoder, fields, held),
        other => panic!("{other:?}"),
    }
}

fn size_bits(primitive: &str) -> usize {
    match primitive {
        "bool" | "byte" | "char" => 8,
        other => other.trim_start_matches(|c: char| c.is_ascii_alphabetic()).parse().unwrap(),
    }
}

/// What a whole message is as a row.
fn expected(fields: &[Type], held: &[Held]) -> Fields {
    fn spread(fields: &[Type], held: &[Held], prefix: &str, row: &mut Fields) {
        for (i, (ty, held)) in fields.iter().zip(held).enumerate() {
            let name = format!("{prefix}f{i}");
            match (&ty.element, ty.arity, held) {
                (ElementOf::Message(fields), Many::One, Held::Message(held)) => {
                    spread(fields, held, &format!("{name}."), row);
                }
                _ => row.insert(name, value(ty, held)),
            }
        }
    }
    let mut row = Fields::new();
    spread(fields, held, "", &mut row);
    row
}

fn value(ty: &Type, held: &Held) -> Value {
    match (&ty.element, held) {
        (ElementOf::Primitive(name), Held::Many(many)) => numbers(name, many),
        (element, Held::Many(many)) => {
            Value::List(many.iter().map(|held| element_value(element, held)).collect())
        }
        (element, held) => element_value(element, held),
    }
}

fn element_value(element: &ElementOf, held: &Held) -> Value {
    match (element, held) {
        (ElementOf::Primitive(name), held) => match numbers(name, std::slice::from_ref(held)) {
            Value::Array(one) => {
                mldash_bridge::with_array!(one, v => Value::from(v.first().copied().unwrap()))
            }
            other => panic!("{other:?}"),
        },
        (_, Held::Text(text)) => Value::from(text.as_str()),
        (ElementOf::Message(fields), Held::Message(held)) => {
            let entries = fields.iter().zip(held).enumerate();
            let entries = entries.map(|(i, (ty, held))| (format!("f{i}").into(), value(ty, held)));
            let is_something = |v: &Value| !matches!(v, Value::Map(m) if m.is_empty());
            Value::Map(entries.filter(|(_, v)| is_something(v)).collect())
        }
        other => panic!("{other:?}"),
    }
}

fn numbers(primitive: &str, held: &[Held]) -> Value {
    let bits: Vec<u64> = held
        .iter()
        .map(|held| match held {
            Held::Bits(bits) => *bits,
            other => panic!("{other:?}"),
        })
        .collect();
    fn all<T>(bits: &[u64], number: impl Fn(u64) -> T) -> Value
    where
        Value: From<Vec<T>>,
    {
        bits.iter().map(|b| number(*b)).collect::<Vec<T>>().into()
    }
    match primitive {
        "bool" => all(&bits, |b| b == 1),
        "byte" | "char" | "uint8" => all(&bits, |b| b as u8),
        "int8" => all(&bits, |b| b as i8),
        "int16" => all(&bits, |b| b as i16),
        "uint16" => all(&bits, |b| b as u16),
        "int32" => all(&bits, |b| b as i32),
        "uint32" => all(&bits, |b| b as u32),
        "int64" => all(&bits, |b| b as i64),
        "uint64" => all(&bits, |b| b),
        "float32" => all(&bits, |b| f32::from_bits(b as u32)),
        "float64" => all(&bits, f64::from_bits),
        other => panic!("{other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_was_encoded_is_decoded((fields, held) in any_message(), order in any_order()) {
        let rows = decode(&root(&fields), &everything(), &encode(&fields, &held, order));
        let names = vec![];
        let fields = expected(&fields, &held);
        prop_assert_eq!(
            rows,
            [Element { stamp: None, stamp_nanos: None, fields, names, left_out: vec![], repaired_text: false }]
        );
    }

    #[test]
    fn some_columns_in_any_order_are_as_they_are_among_all(
        (fields, held) in any_message(),
        order in any_order(),
        chosen in prop::collection::vec(any::<Index>(), 1..6),
    ) {
        let all = expected(&fields, &held);
        let mut selected: Vec<SelectedField> = Vec::new();
        for index in chosen.iter().filter(|_| !all.is_empty()) {
            let (column, _) = all.iter().nth(index.index(all.len())).unwrap();
            if selected.iter().all(|s| *s.column != **column) {
                let path = column.parse().unwrap();
                selected.push(SelectedField { column: column.to_string(), path });
            }
        }
        let columns: Vec<String> = selected.iter().map(|s| s.column.clone()).collect();
        let layout = Layout { fields: FieldSelection::Only(selected), ..everything() };

        let rows = decode(&root(&fields), &layout, &encode(&fields, &held, order));

        let wanted: Fields =
            columns.iter().map(|c| (c.as_str(), all.get(c).unwrap().clone())).collect();
        prop_assert_eq!(&rows[0].fields, &wanted);
    }

    #[test]
    fn each_element_is_as_the_message_alone(
        (fields, held) in any_message(),
        order in any_order(),
        before in any::<bool>(),
    ) {
        let many = |element| Type { element, arity: Many::Any };
        let array = many(ElementOf::Message(fields.clone()));
        let elements = vec![Held::Message(held.clone()), Held::Message(held.clone())];
        let byte = Type { element: ElementOf::Primitive("uint8"), arity: Many::One };
        let (types, values) = if before {
            (vec![byte, array], vec![Held::Bits(1), Held::Many(elements)])
        } else {
            (vec![array, byte], vec![Held::Many(elements), Held::Bits(1)])
        };
        let path = if before { "f1" } else { "f0" };
        let layout = Layout { each: Some(path.parse().unwrap()), ..everything() };

        let rows = decode(&root(&types), &layout, &encode(&types, &values, order));

        let alone = expected(&fields, &held);
        prop_assert_eq!(rows.len(), 2);
        prop_assert!(rows.iter().all(|row| row.fields == alone), "{:?}", rows);
    }

    #[test]
    fn a_message_cut_anywhere_is_an_error_and_leaves_nothing(
        (fields, held) in any_message(),
        order in any_order(),
    ) {
        let cdr = encode(&fields, &held, order);
        let ty = root(&fields);
        for layout in [everything(), Layout { fields: FieldSelection::Only(vec![]), ..everything() }] {
            let decoder = Decoder::compile(&ty, &layout).unwrap();
            let mut out = vec![];
            for end in 0..cdr.len() {
                if has_wide(&fields) {
                    // What is left of a wstring of four-byte units can be one of two-byte units.
                    if decoder.decode(&cdr[..end], &mut out).is_err() {
                        prop_assert!(out.is_empty());
                    }
                    continue;
                }
                let error = decoder.decode(&cdr[..end], &mut out).unwrap_err();
                prop_assert!(out.is_empty());
                prop_assert!(error.offset <= end, "{error}");
            }
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused_within_bounds(
        (fields, held) in any_message(),
        order in any_order(),
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..8),
        tail in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut cdr = encode(&fields, &held, order);
        let header = 4;
        for (index, byte) in damage {
            let at = header + index.index(cdr.len() - header);
            cdr[at] = byte;
        }
        cdr.extend(tail);
        let decoder = Decoder::compile(&root(&fields), &everything()).unwrap();
        let mut out = vec![];
        if decoder.decode(&cdr, &mut out).is_ok() {
            let ts = Timestamp::new(0.0).unwrap();
            let size: usize =
                out.drain(..).map(|row| Row::new(ts, row.fields).size_bytes()).sum();
            // A byte can be a dict of one number in a list; the columns themselves are the type's.
            prop_assert!(size <= 100 * cdr.len() + 4096, "{size} of {}", cdr.len());
        }
    }
}
