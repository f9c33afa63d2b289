//! serde's data model → [`Value`], one method a kind.

use serde::ser::{
    self, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::SerializeError;
use crate::row::{Column, ListBuilder, Value};

pub(super) struct ValueSerializer;

/// A list under way; under a name if it is an enum's variant.
pub(super) struct Items {
    list: ListBuilder,
    variant: Option<&'static str>,
}

/// A dict under way; under a name if it is an enum's variant.
#[derive(Default)]
pub(super) struct Entries {
    entries: Vec<(Column, Value)>,
    key: Option<Column>,
    variant: Option<&'static str>,
}

/// As JSON writes an enum's variant that carries something.
fn under(variant: Option<&'static str>, value: Value) -> Value {
    match variant {
        Some(name) => Value::Map(vec![(name.into(), value)]),
        None => value,
    }
}

impl Items {
    fn new(variant: Option<&'static str>) -> Self {
        Self { list: ListBuilder::default(), variant }
    }

    fn push<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), SerializeError> {
        self.list.push(item.serialize(ValueSerializer)?);
        Ok(())
    }

    fn finish(self) -> Value {
        under(self.variant, self.list.finish())
    }
}

impl Entries {
    fn new(len: usize, variant: Option<&'static str>) -> Self {
        Self { entries: Vec::with_capacity(len), key: None, variant }
    }

    fn push<T: Serialize + ?Sized>(
        &mut self,
        name: Column,
        value: &T,
    ) -> Result<(), SerializeError> {
        self.entries.push((name, value.serialize(ValueSerializer)?));
        Ok(())
    }

    fn finish(self) -> Value {
        under(self.variant, Value::Map(self.entries))
    }
}

impl Serializer for ValueSerializer {
    type Ok = Value;
    type Error = SerializeError;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Entries;
    type SerializeStruct = Entries;
    type SerializeStructVariant = Entries;

    fn serialize_bool(self, v: bool) -> Result<Value, SerializeError> {
        Ok(v.into())
    }

    fn serialize_i8(self, v: i8) -> Result<Value, SerializeError> {
        Ok(v.into())
    }

    fn serialize_i16(self, v: i16) -> Result<Value, SerializeError> {
        Ok(v.into())
    }

    fn serialize_i32(self, v: i32) -> Result<Value, SerializeError> {
        Ok(v.into())
    }

    fn serialize_i64(self, v: i64) -> Result<Value, SerializeError> {
        Ok(v.into())
    }

    fn serialize_i128(self, v: i128) -> Result<Value, SerializeError> {
        let small =
            i64::try_from(v).map(Value::from).or_else(|_| u64::try_from(v).map(Value::from));
        small.map_err(|_| SerializeError::IntegerTooLarge(v.to_string()))
    }

    fn serialize_u8(self, v: u8) -> Result<Value, SerializeError> {
        Ok(v.into())
    }

    fn serialize_u16(self, v: u16) -> Result<Value, SerializeError> {
        Ok(v.into())
    }

    fn serialize_u32(self, v: u32) -> Result<Value, SerializeError> {
        Ok(v.into())
    }

    fn serialize_u64(self, v: u64) -> Result<Value, SerializeError> {
        Ok(v.into())
    }

    fn serialize_u128(self, v: u128) -> Result<Value, SerializeError> {
        let small = u64::try_from(v).map(Value::from);
        small.map_err(|_| SerializeError::IntegerTooLarge(v.to_string()))
    }

    fn serialize_f32(self, v: f32) -> Result<Value, SerializeError> {
        Ok(v.into())
    }

    fn serialize_f64(self, v: f64) -> Result<Value, SerializeError> {
        Ok(v.into())
    }

    fn serialize_char(self, v: char) -> Result<Value, SerializeError> {
        Ok(Value::Text(v.into()))
    }

    fn serialize_str(self, v: &str) -> Result<Value, SerializeError> {
        Ok(v.into())
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<Value, SerializeError> {
        Ok(Value::Bytes(v.to_vec()))
    }

    fn serialize_none(self) -> Result<Value, SerializeError> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, SerializeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, SerializeError> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, SerializeError> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, SerializeError> {
        Ok(variant.into())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Value, SerializeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, SerializeError> {
        Ok(under(Some(variant), value.serialize(self)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items, SerializeError> {
        Ok(Items::new(None))
    }

    fn serialize_tuple(self, _: usize) -> Result<Items, SerializeError> {
        Ok(Items::new(None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items, SerializeError> {
        Ok(Items::new(None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items, SerializeError> {
        Ok(Items::new(Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries, SerializeError> {
        Ok(Entries::default())
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Entries, SerializeError> {
        Ok(Entries::new(len, None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Entries, SerializeError> {
        Ok(Entries::new(len, Some(variant)))
    }
}

/// The traits of lists and of structs differ in names only.
macro_rules! collect {
    ($($trait:ident for $collector:ident: fn $push:ident($($name:ident)?);)*) => {
        $(impl $trait for $collector {
            type Ok = Value;
            type Error = SerializeError;

            fn $push<T: Serialize + ?Sized>(
                &mut self,
                $($name: &'static str,)?
                value: &T,
            ) -> Result<(), SerializeError> {
                self.push($($name.into(),)? value)
            }

            fn end(self) -> Result<Value, SerializeError> {
                Ok(self.finish())
            }
        })*
    };
}

collect! {
    SerializeSeq for Items: fn serialize_element();
    SerializeTuple for Items: fn serialize_element();
    SerializeTupleStruct for Items: fn serialize_field();
    SerializeTupleVariant for Items: fn serialize_field();
    SerializeStruct for Entries: fn serialize_field(name);
    SerializeStructVariant for Entries: fn serialize_field(name);
}

impl SerializeMap for Entries {
    type Ok = Value;
    type Error = SerializeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerializeError> {
        self.key = Some(match key.serialize(ValueSerializer)? {
            Value::Text(text) => text.into(),
            Value::Int(int) => int.to_string().into(),
            Value::UInt(int) => int.to_string().into(),
            other => return Err(SerializeError::Key { got: super::kind(&other) }),
        });
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        match self.key.take() {
            Some(name) => self.push(name, value),
            None => Err(ser::Error::custom("a map gave a value before its key")),
        }
    }

    fn end(self) -> Result<Value, SerializeError> {
        Ok(self.finish())
    }
}
