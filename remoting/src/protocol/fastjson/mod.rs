//! JSON as fastjson2 reads and writes it: the only place that knows fastjson's habits.
//!
//! RocketMQ's bodies and configuration files are not quite JSON. Java 5.5.0 (fastjson2 2.0.59)
//! - writes bean fields in alphabetical order and leaves null fields out,
//! - writes integer map keys without quotes (`{0:"a"}`) unless asked otherwise,
//! - writes maps whose key is an object as `{{"brokerName":..}:..}`,
//! - writes doubles as `Double.toString` does (`0.0`, `1.0E10`) and enums by name.
//!
//! Readers accept that and more: single quotes, unquoted keys, trailing commas, comments, numbers and
//! booleans as strings, `{"$ref":"$.path"}` as fastjson 1.x emits it for an object met twice, and the
//! form of an object key that is a string holding JSON. Nesting and the work spent on references are
//! bounded, so no input can exhaust the stack or the processor.
//!
//! Types declare their fields once with [`body!`](crate::body) and enums with
//! [`json_enum!`](crate::json_enum); [`Body`] gives them `decode` and the encodings.

mod read;
mod value;
mod write;

pub use read::{DEPTH_MAX, JsonError, JsonErrorKind, Reader};
pub use value::Value;
pub use write::{ArrayWriter, BeanWriter, MapWriter, Style, Writer};

use std::collections::BTreeMap;

/// A type that fastjson can read.
pub trait FromJson: Sized {
    /// Reads one value. `None` is Java's null: a literal `null` or an enum name that is not known.
    fn from_json(reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError>;
}

/// A type that fastjson can write.
pub trait ToJson {
    /// Writes the value.
    fn to_json(&self, writer: &mut Writer);

    /// Whether a bean leaves out a field that holds this value.
    fn is_null(&self) -> bool {
        false
    }
}

/// A type that may be the key of a map.
pub trait JsonKey: Sized + Ord {
    /// Reads a key, up to but without the colon.
    fn read_key(reader: &mut Reader<'_>) -> Result<Self, JsonError>;
    /// Writes a key without the colon.
    fn write_key(&self, writer: &mut Writer);
}

/// The encodings of a request or response body, or of a configuration file.
pub trait Body: FromJson + ToJson {
    /// Decodes a whole body. An empty body or a `null` is an error.
    fn decode(input: &[u8]) -> Result<Self, JsonError> {
        let mut reader = Reader::new(input);
        let value = Self::from_json(&mut reader)?;
        reader.end()?;
        value.ok_or(JsonError { at: 0, kind: JsonErrorKind::Null })
    }

    /// Compact form with unquoted integer keys: what Java sends for nearly every code.
    fn encode(&self) -> Vec<u8> {
        Writer::write(self, Style::COMPACT)
    }

    /// Compact form with quoted integer keys: route answers for clients that ask for standard JSON.
    fn encode_quoted_keys(&self) -> Vec<u8> {
        Writer::write(self, Style::QUOTED_KEYS)
    }

    /// Indented with tabs, as Java writes the files under `config/`.
    fn encode_pretty(&self) -> Vec<u8> {
        Writer::write(self, Style::PRETTY)
    }
}

impl<T: FromJson + ToJson> Body for T {}

impl<T: FromJson> FromJson for Option<T> {
    fn from_json(reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError> {
        T::from_json(reader).map(Some)
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn to_json(&self, writer: &mut Writer) {
        match self {
            Some(value) => value.to_json(writer),
            None => writer.raw("null"),
        }
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}

impl<T: FromJson> FromJson for Box<T> {
    fn from_json(reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError> {
        Ok(T::from_json(reader)?.map(Box::new))
    }
}

impl<T: ToJson> ToJson for Box<T> {
    fn to_json(&self, writer: &mut Writer) {
        (**self).to_json(writer)
    }

    fn is_null(&self) -> bool {
        (**self).is_null()
    }
}

impl<T: ToJson> ToJson for std::sync::Arc<T> {
    fn to_json(&self, writer: &mut Writer) {
        (**self).to_json(writer)
    }

    fn is_null(&self) -> bool {
        (**self).is_null()
    }
}

impl<T: FromJson> FromJson for std::sync::Arc<T> {
    fn from_json(reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError> {
        Ok(T::from_json(reader)?.map(std::sync::Arc::new))
    }
}

impl FromJson for String {
    fn from_json(reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError> {
        reader.text()
    }
}

/// In the field of a bean, an empty `String` stands for Java's null; use `Option<String>` where the two must be told
/// apart.
impl ToJson for String {
    fn to_json(&self, writer: &mut Writer) {
        writer.string(self);
    }

    fn is_null(&self) -> bool {
        self.is_empty()
    }
}

impl ToJson for Option<&str> {
    fn to_json(&self, writer: &mut Writer) {
        match self {
            Some(text) => writer.string(text),
            None => writer.raw("null"),
        }
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}

impl FromJson for bool {
    fn from_json(reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError> {
        reader.bool()
    }
}

impl ToJson for bool {
    fn to_json(&self, writer: &mut Writer) {
        writer.raw(if *self { "true" } else { "false" });
    }
}

impl FromJson for f64 {
    fn from_json(reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError> {
        reader.double()
    }
}

impl ToJson for f64 {
    fn to_json(&self, writer: &mut Writer) {
        writer.double(*self);
    }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl FromJson for $type {
            fn from_json(reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError> {
                reader.integer()?.map(|n| <$type>::try_from(n).map_err(|_| reader.error(JsonErrorKind::Range))).transpose()
            }
        }

        impl ToJson for $type {
            fn to_json(&self, writer: &mut Writer) {
                writer.integer(i64::from(*self));
            }
        }

        /// Written without quotes unless the style asks for them.
        impl JsonKey for $type {
            fn read_key(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
                let key = reader.key()?;
                key.trim().parse().map_err(|_| reader.error(JsonErrorKind::Key))
            }

            fn write_key(&self, writer: &mut Writer) {
                writer.integer_key(i64::from(*self));
            }
        }
    )*};
}
integers!(i32, i64);

impl JsonKey for String {
    fn read_key(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        reader.key().map(|key| key.into_owned())
    }

    fn write_key(&self, writer: &mut Writer) {
        writer.string(self);
    }
}

/// Null items are dropped.
impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError> {
        let mut items = Vec::new();
        let present = reader.array(|reader| {
            items.extend(T::from_json(reader)?);
            Ok(())
        })?;
        Ok(present.then_some(items))
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn to_json(&self, writer: &mut Writer) {
        self.as_slice().to_json(writer);
    }
}

impl<T: ToJson> ToJson for [T] {
    fn to_json(&self, writer: &mut Writer) {
        writer.array(|array| self.iter().for_each(|item| array.item(item)));
    }
}

/// Entries whose value is null are dropped; of equal keys the last wins.
impl<K: JsonKey, V: FromJson> FromJson for BTreeMap<K, V> {
    fn from_json(reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError> {
        let mut map = BTreeMap::new();
        let present = reader.object(|reader| {
            let key = K::read_key(reader)?;
            reader.colon()?;
            if let Some(value) = V::from_json(reader)? {
                map.insert(key, value);
            }
            Ok(())
        })?;
        Ok(present.then_some(map))
    }
}

impl<K: JsonKey, V: ToJson> ToJson for BTreeMap<K, V> {
    fn to_json(&self, writer: &mut Writer) {
        writer.map(|map| self.iter().for_each(|(key, value)| map.entry(key, value)));
    }
}

/// Whether names rise strictly in byte order; [`body!`](crate::body) checks its fields with it.
#[doc(hidden)]
pub const fn names_rise(names: &[&str]) -> bool {
    let mut i = 1;
    while i < names.len() {
        let (a, b) = (names[i - 1].as_bytes(), names[i].as_bytes());
        let mut j = 0;
        while j < a.len() && j < b.len() && a[j] == b[j] {
            j += 1;
        }
        let rises = j < b.len() && (j == a.len() || a[j] < b[j]);
        if !rises {
            return false;
        }
        i += 1;
    }
    true
}

/// Declares a bean: its fields with their wire names, in the order in which Java writes them.
///
/// A field is `"wireName" field: Type`, with ` = default` where Java's default is not Rust's, and with
/// `| "otherName"` for names that are taken on input as well. A `String`
/// that is empty and an `Option` that is `None` are left out on output. The struct gets `Clone`,
/// `Debug`, `PartialEq`, `Default` (Java's defaults), [`FromJson`](crate::protocol::fastjson::FromJson)
/// and [`ToJson`](crate::protocol::fastjson::ToJson); unknown fields are ignored on input, missing ones
/// take the default, and a null gives 0, false, `None` or the type's own default.
#[macro_export]
macro_rules! body {
    ($(
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $(
                $(#[$field_meta:meta])*
                $wire:literal $(| $alias:literal)* $field:ident: $type:ty $(= $default:expr)?
            ),* $(,)?
        }
    )+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $(
                $(#[$field_meta])*
                #[doc = concat!("\n\nWire name `", $wire, "`.")]
                pub $field: $type,
            )*
        }

        const _: () = assert!(
            $crate::protocol::fastjson::names_rise(&[$($wire),*]),
            concat!("fields of ", stringify!($name), " are not in alphabetical order"),
        );

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $crate::body!(@default $($default)?)),* }
            }
        }

        impl $crate::protocol::fastjson::FromJson for $name {
            fn from_json(
                reader: &mut $crate::protocol::fastjson::Reader<'_>,
            ) -> Result<Option<Self>, $crate::protocol::fastjson::JsonError> {
                let mut bean = Self::default();
                let present = reader.object(|reader| {
                    let key = reader.key()?;
                    reader.colon()?;
                    match &*key {
                        $($wire $(| $alias)* => {
                            bean.$field = <$type as $crate::protocol::fastjson::FromJson>::from_json(reader)?
                                .unwrap_or_default();
                        })*
                        _ => reader.skip()?,
                    }
                    Ok(())
                })?;
                Ok(present.then_some(bean))
            }
        }

        impl $crate::protocol::fastjson::ToJson for $name {
            fn to_json(&self, writer: &mut $crate::protocol::fastjson::Writer) {
                writer.bean(|bean| {
                    $(bean.field($wire, &self.$field);)*
                    let _ = bean;
                });
            }
        }
    )+};
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
}

/// Makes a [`body!`](crate::body) type usable as the key of a map, in the form `{{..}:..}`.
///
/// On input a string that holds the object's JSON is accepted as well.
#[macro_export]
macro_rules! object_key {
    ($name:ident) => {
        impl $crate::protocol::fastjson::JsonKey for $name {
            fn read_key(
                reader: &mut $crate::protocol::fastjson::Reader<'_>,
            ) -> Result<Self, $crate::protocol::fastjson::JsonError> {
                reader.object_key()
            }

            fn write_key(&self, writer: &mut $crate::protocol::fastjson::Writer) {
                $crate::protocol::fastjson::ToJson::to_json(self, writer);
            }
        }
    };
}

/// Declares an enum that travels by name: `Variant = "WIRE_NAME"`; the first variant is the default.
///
/// Names are matched without regard to case, and a number is taken as the ordinal, as fastjson does;
/// anything else reads as null.
#[macro_export]
macro_rules! json_enum {
    ($(
        $(#[$meta:meta])*
        $vis:vis enum $name:ident { $first:ident = $first_wire:literal $(, $variant:ident = $wire:literal)* $(,)? }
    )+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $vis enum $name {
            #[doc = concat!("`", $first_wire, "`")]
            #[default]
            $first,
            $(
                #[doc = concat!("`", $wire, "`")]
                $variant,
            )*
        }

        impl $name {
            /// Every constant, in the order of Java's ordinals.
            pub const ALL: &'static [Self] = &[Self::$first $(, Self::$variant)*];

            /// The constant's name on the wire.
            pub const fn name(self) -> &'static str {
                match self {
                    Self::$first => $first_wire,
                    $(Self::$variant => $wire,)*
                }
            }

            /// The constant of that name, without regard to case.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|item| item.name().eq_ignore_ascii_case(name))
            }
        }

        impl $crate::protocol::fastjson::FromJson for $name {
            fn from_json(
                reader: &mut $crate::protocol::fastjson::Reader<'_>,
            ) -> Result<Option<Self>, $crate::protocol::fastjson::JsonError> {
                let Some(text) = reader.text()? else { return Ok(None) };
                let by_ordinal = || Self::ALL.get(text.parse::<usize>().ok()?).copied();
                Ok(Self::parse(&text).or_else(by_ordinal))
            }
        }

        impl $crate::protocol::fastjson::ToJson for $name {
            fn to_json(&self, writer: &mut $crate::protocol::fastjson::Writer) {
                writer.string(self.name());
            }
        }
    )+};
}
