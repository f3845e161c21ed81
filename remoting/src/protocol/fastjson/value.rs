//! A tree for JSON whose shape is not known in advance.

use super::{FromJson, JsonError, Reader, ToJson, Writer};

/// Any JSON value. Entries keep their order; keys that were objects keep their compact text.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// Anything but null, object or array: its text, and whether it stood in quotes.
    Scalar {
        /// Unescaped text.
        text: String,
        /// Whether it was a string.
        quoted: bool,
    },
    /// A list.
    Array(Vec<Value>),
    /// An object or map.
    Object(Vec<(String, Value)>),
}

/// `reader.integer()` and its kin are cheaper where the type is known.
impl FromJson for Value {
    fn from_json(reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError> {
        if let Some(value) = reader.referenced(Value::from_json)? {
            return Ok(value);
        }
        let value = match reader.kind()? {
            b'{' => {
                let mut entries = Vec::new();
                let present = reader.object(|reader| {
                    let key = match reader.kind()? {
                        b'{' => reader.text()?.unwrap_or_default(),
                        _ => reader.key()?.into_owned(),
                    };
                    reader.colon()?;
                    entries.push((key, Value::from_json(reader)?.unwrap_or(Value::Null)));
                    Ok(())
                })?;
                if !present {
                    return Ok(None);
                }
                Value::Object(entries)
            }
            b'[' => {
                let mut items = Vec::new();
                reader.array(|reader| {
                    items.push(Value::from_json(reader)?.unwrap_or(Value::Null));
                    Ok(())
                })?;
                Value::Array(items)
            }
            first => match reader.text()? {
                None => return Ok(None),
                Some(text) => Value::Scalar { text, quoted: matches!(first, b'"' | b'\'') },
            },
        };
        Ok(Some(value))
    }
}

/// Keys that were integers or objects come out as strings.
impl ToJson for Value {
    fn to_json(&self, writer: &mut Writer) {
        match self {
            Value::Null => writer.raw("null"),
            Value::Scalar { text, quoted: true } => writer.string(text),
            Value::Scalar { text, quoted: false } => writer.raw(text),
            Value::Array(items) => items.to_json(writer),
            Value::Object(entries) => {
                writer.map(|map| entries.iter().for_each(|(key, value)| map.entry(key, value)));
            }
        }
    }

    fn is_null(&self) -> bool {
        *self == Value::Null
    }
}

impl Value {
    /// The member `key` of an object.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Object(entries) => entries.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text of a scalar.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }
}
