//! Custom headers: the typed view of a command's [`ExtFields`].
//!
//! A header is declared once with [`header!`](crate::header), one file a family. Field names on the wire are Java's.
//!
//! A field that Java marks as not null is required here (Java's handler fails without it), one of a primitive type
//! is 0 or false when absent, any other is an `Option`. The fields that most headers of Java inherit are in
//! [`rpc::RpcFields`], decoded apart by who needs them.

pub mod admin;
pub mod auth;
pub mod client;
pub mod controller;
pub mod group;
pub mod ha;
pub mod lite;
pub mod offset;
pub mod pop;
pub mod pull;
pub mod route;
pub mod rpc;
pub mod send;
pub mod topic;
pub mod transaction;

use thiserror::Error;

use super::fields::ExtFields;

/// Why the fields of a command do not make the header that its code asks for. Answered with code 1 and this text.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HeaderError {
    /// A field that the code cannot do without is absent.
    #[error("{header}: the field {field} is missing")]
    Missing {
        /// Java's name of the header class.
        header: &'static str,
        /// Name on the wire.
        field: &'static str,
    },
    /// A field does not have the form of its type.
    #[error("{header}: the field {field} is not {expected}: {value:?}")]
    IllTyped {
        /// Java's name of the header class.
        header: &'static str,
        /// Name on the wire.
        field: &'static str,
        /// What the field must be, for instance `an integer`.
        expected: &'static str,
        /// The text received, cut to 64 characters.
        value: String,
    },
}

/// A header that can be read from, and written to, the fields of a command.
pub trait Header: Sized {
    /// Java's name of the class.
    const NAME: &'static str;

    /// Reads the header.
    fn decode(fields: &ExtFields) -> Result<Self, HeaderError>;

    /// Appends the header's fields; absent optional fields are left out.
    fn encode(&self, fields: &mut ExtFields);
}

/// A command without a custom header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoHeader;

impl Header for NoHeader {
    const NAME: &'static str = "none";

    fn decode(_: &ExtFields) -> Result<Self, HeaderError> {
        Ok(Self)
    }

    fn encode(&self, _: &mut ExtFields) {}
}

/// A type that a header field can have.
pub trait FieldValue: Sized {
    /// What an error calls the type.
    const EXPECTED: &'static str;

    /// Reads the text of a field.
    fn parse(text: &str) -> Option<Self>;

    /// Appends the field.
    fn write(&self, key: &'static str, fields: &mut ExtFields);

    /// The value of an absent field, where absence is allowed.
    fn absent() -> Option<Self> {
        None
    }
}

macro_rules! integer_field {
    ($($ty:ty),*) => {$(
        impl FieldValue for $ty {
            const EXPECTED: &'static str = "an integer";
            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
            fn write(&self, key: &'static str, fields: &mut ExtFields) {
                fields.push_int(key, i64::from(*self));
            }
        }
    )*};
}

integer_field!(i32, i64);

impl FieldValue for bool {
    const EXPECTED: &'static str = "a boolean";

    /// Java's `Boolean.parseBoolean`: everything but `true` is false.
    fn parse(text: &str) -> Option<Self> {
        Some(text.eq_ignore_ascii_case("true"))
    }

    fn write(&self, key: &'static str, fields: &mut ExtFields) {
        fields.push_str(key, if *self { "true" } else { "false" });
    }
}

impl FieldValue for String {
    const EXPECTED: &'static str = "a text";

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn write(&self, key: &'static str, fields: &mut ExtFields) {
        fields.push_str(key, self);
    }
}

impl FieldValue for f64 {
    const EXPECTED: &'static str = "a number";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn write(&self, key: &'static str, fields: &mut ExtFields) {
        fields.push(key, format_args!("{self:?}"));
    }
}

impl<T: FieldValue> FieldValue for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn parse(text: &str) -> Option<Self> {
        T::parse(text).map(Some)
    }

    fn write(&self, key: &'static str, fields: &mut ExtFields) {
        if let Some(value) = self {
            value.write(key, fields);
        }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

/// Reads one field for [`header!`](crate::header).
#[doc(hidden)]
pub fn read_field<T: FieldValue>(
    fields: &ExtFields,
    header: &'static str,
    field: &'static str,
    default: Option<T>,
) -> Result<T, HeaderError> {
    match fields.get(field) {
        Some(text) => T::parse(text).ok_or_else(|| HeaderError::IllTyped {
            header,
            field,
            expected: T::EXPECTED,
            value: text.chars().take(64).collect(),
        }),
        None => default.or_else(T::absent).ok_or(HeaderError::Missing { header, field }),
    }
}

/// Declares headers: `name: Type => "wireName"`, or `=> "wireName" or default` where absence means a default.
///
/// `Option<T>` fields may be absent; others without a default are required (an absent one is [`HeaderError::Missing`]).
///
/// ```
/// hypergol_remoting::header! {
///     /// Header of an example.
///     pub struct ExampleRequestHeader {
///         /// A required text.
///         pub topic: String => "topic",
///         /// 0 when absent, as a Java `int`.
///         pub queue_id: i32 => "queueId" or 0,
///         /// May be absent.
///         pub force: Option<bool> => "force",
///     }
/// }
/// ```
#[macro_export]
macro_rules! header {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* pub $field:ident : $ty:ty => $wire:literal $(or $default:expr)? ),* $(,)?
        }
    )+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $ty, )*
        }

        impl $crate::protocol::header::Header for $name {
            const NAME: &'static str = stringify!($name);

            #[allow(unused_variables)]
            fn decode(
                fields: &$crate::protocol::fields::ExtFields,
            ) -> ::core::result::Result<Self, $crate::protocol::header::HeaderError> {
                Ok(Self {
                    $( $field: $crate::protocol::header::read_field(
                        fields,
                        stringify!($name),
                        $wire,
                        $crate::header!(@default $($default)?),
                    )?, )*
                })
            }

            #[allow(unused_variables)]
            fn encode(&self, fields: &mut $crate::protocol::fields::ExtFields) {
                $( $crate::protocol::header::FieldValue::write(&self.$field, $wire, fields); )*
            }
        }
    )+};
    (@default) => { None };
    (@default $default:expr) => { Some($default) };
}
