//! A compiled expression, and its value for one message.

use std::cmp::Ordering;
use std::collections::HashSet;

use memchr::memmem::Finder;
use thiserror::Error;

use crate::number;
use crate::parser::{self, CompileError};
use crate::value::{Compared, Value, compare, double_order};

/// The properties of a message.
pub trait Properties {
    /// Value of a property, UTF-8 as it is stored.
    fn get(&self, name: &str) -> Option<&[u8]>;
}

impl<const N: usize> Properties for [(&str, &str); N] {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.as_bytes())
    }
}

impl Properties for std::collections::HashMap<String, String> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        Self::get(self, name).map(String::as_bytes)
    }
}

/// Why an expression has no value for a message. Brokers treat that as not matching.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum EvaluationError {
    /// A property is compared with a number and is none of that kind.
    #[error("a text that is compared with a number is none of its kind")]
    NotANumber,
    /// `<`, `<=`, `>` and `>=` between two properties that are not numbers.
    #[error("'>=', '>', '<' and '<=' are not for strings")]
    TextOrder,
    /// A condition stands left of a string or property: Java fails to cast it.
    #[error("a condition is compared with a string")]
    BooleanAndText,
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Expression {
    root: Node,
}

impl Expression {
    /// Compiles a text. Whatever follows a complete expression is ignored as long as its first token is one, as in
    /// Java, whose grammar does not ask for the end of the text.
    ///
    /// # Errors
    /// [`CompileError`], with the place.
    pub fn compile(text: &str) -> Result<Self, CompileError> {
        Ok(Self { root: parser::parse(text)? })
    }

    /// True, false or unknown (`None`).
    ///
    /// # Errors
    /// [`EvaluationError`].
    pub fn evaluate(&self, properties: &dyn Properties) -> Result<Option<bool>, EvaluationError> {
        self.root.condition(properties)
    }

    /// Whether a broker passes the message on: unknown and errors count as false.
    pub fn matches(&self, properties: &dyn Properties) -> bool {
        self.evaluate(properties) == Ok(Some(true))
    }
}

/// `<`, `<=`, `>`, `>=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

impl Order {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterEqual => order.is_ge(),
        }
    }
}

/// Where a string is looked for.
#[derive(Clone, Debug)]
pub enum Search {
    /// Anywhere.
    Contains(Box<Finder<'static>>),
    /// At the start.
    StartsWith(Box<[u8]>),
    /// At the end.
    EndsWith(Box<[u8]>),
}

impl Search {
    /// Nothing is found by an empty string, not even its absence.
    fn is_empty(&self) -> bool {
        match self {
            Self::Contains(finder) => finder.needle().is_empty(),
            Self::StartsWith(text) | Self::EndsWith(text) => text.is_empty(),
        }
    }

    fn finds(&self, value: &[u8]) -> bool {
        match self {
            Self::Contains(finder) => finder.find(value).is_some(),
            Self::StartsWith(text) => value.starts_with(text),
            Self::EndsWith(text) => value.ends_with(text),
        }
    }
}

/// The strings of an `IN`.
#[derive(Clone, Debug)]
pub enum Texts {
    /// Few.
    List(Vec<Box<[u8]>>),
    /// Many.
    Set(HashSet<Box<[u8]>>),
}

impl Texts {
    /// More are looked up by hash.
    const LIST_MAX: usize = 8;

    /// Of these strings.
    pub fn new(texts: Vec<Box<[u8]>>) -> Self {
        if texts.len() <= Self::LIST_MAX { Self::List(texts) } else { Self::Set(texts.into_iter().collect()) }
    }

    fn contains(&self, text: &[u8]) -> bool {
        match self {
            Self::List(texts) => texts.iter().any(|known| **known == *text),
            Self::Set(texts) => texts.contains(text),
        }
    }
}

/// A node of the tree. Depth is bounded by the parser.
#[derive(Clone, Debug)]
pub enum Node {
    /// A string.
    Text(Box<[u8]>),
    /// A number without a point of 32 bits.
    Int(i32),
    /// A longer one.
    Long(i64),
    /// A number with a point.
    Double(f64),
    /// `TRUE`, `FALSE`, `NULL`.
    Boolean(Option<bool>),
    /// A property.
    Property(Box<str>),
    /// `-`: null for anything but a number.
    Negate(Box<Node>),
    /// `NOT`
    Not(Box<Node>),
    /// A property in the place of a condition: never true, for properties are strings.
    Cast(Box<str>),
    /// Two or more, from left to right until one is false.
    And(Vec<Node>),
    /// Two or more, from left to right until one is true.
    Or(Vec<Node>),
    /// `=`, and with [`Node::Not`] `<>`.
    Equal(Box<Node>, Box<Node>),
    /// `IS NULL`
    IsNull(Box<Node>),
    /// `<`, `<=`, `>`, `>=`.
    Compare(Order, Box<Node>, Box<Node>),
    /// `BETWEEN` of value, low, high; with true `NOT BETWEEN`.
    Between(bool, Box<[Box<Node>; 3]>),
    /// `CONTAINS`, `STARTSWITH`, `ENDSWITH`; with true those with `NOT`.
    Search(bool, Search, Box<Node>),
    /// `IN`; with true `NOT IN`.
    In(bool, Box<str>, Texts),
}

impl Node {
    /// Whether the node stands for a condition.
    pub fn is_condition(&self) -> bool {
        match self {
            Self::Text(_) | Self::Int(_) | Self::Long(_) | Self::Double(_) | Self::Property(_) | Self::Negate(_) => {
                false
            }
            Self::Boolean(_)
            | Self::Not(_)
            | Self::Cast(_)
            | Self::And(_)
            | Self::Or(_)
            | Self::Equal(..)
            | Self::IsNull(_)
            | Self::Compare(..)
            | Self::Between(..)
            | Self::Search(..)
            | Self::In(..) => true,
        }
    }

    /// The value of a condition.
    fn condition(&self, properties: &dyn Properties) -> Result<Option<bool>, EvaluationError> {
        match self {
            Self::Boolean(value) => Ok(*value),
            Self::Not(inner) => Ok(inner.condition(properties)?.map(|value| !value)),
            Self::Cast(name) => Ok(properties.get(name).map(|_| false)),
            Self::And(conditions) => until(conditions, false, properties),
            Self::Or(conditions) => until(conditions, true, properties),
            Self::Equal(left, right) => equal(left.value(properties)?, right.value(properties)?),
            Self::IsNull(inner) => Ok(Some(matches!(inner.value(properties)?, Value::Null))),
            Self::Compare(order, left, right) => in_order(*order, left.value(properties)?, right, properties),
            Self::Between(negated, operands) => {
                let [value, low, high] = &**operands;
                let value = value.value(properties)?;
                let (first, second, stop) = match negated {
                    false => (Order::GreaterEqual, Order::LessEqual, false),
                    true => (Order::Less, Order::Greater, true),
                };
                let low = in_order(first, value, low, properties)?;
                if low == Some(stop) {
                    return Ok(low);
                }
                let high = in_order(second, value, high, properties)?;
                if high == Some(stop) { Ok(high) } else { Ok(low.and(high)) }
            }
            Self::Search(negated, search, inner) => {
                if search.is_empty() {
                    return Ok(Some(false));
                }
                match inner.value(properties)? {
                    Value::Text(text) => Ok(Some(search.finds(text) != *negated)),
                    _ => Ok(Some(false)),
                }
            }
            Self::In(negated, name, texts) => Ok(properties.get(name).map(|value| texts.contains(value) != *negated)),
            // The parser puts none of these where a condition belongs.
            Self::Text(_) | Self::Int(_) | Self::Long(_) | Self::Double(_) | Self::Property(_) | Self::Negate(_) => {
                Ok(None)
            }
        }
    }

    fn value<'v>(&'v self, properties: &'v dyn Properties) -> Result<Value<'v>, EvaluationError> {
        Ok(match self {
            Self::Text(text) => Value::Text(text),
            Self::Int(value) => Value::Int(*value),
            Self::Long(value) => Value::Long(*value),
            Self::Double(value) => Value::Double(*value),
            Self::Property(name) => properties.get(name).map_or(Value::Null, Value::Text),
            Self::Negate(inner) => match inner.value(properties)? {
                Value::Int(value) => Value::Int(value.wrapping_neg()),
                Value::Long(value) => Value::Long(value.wrapping_neg()),
                Value::Double(value) => Value::Double(-value),
                Value::Null | Value::Bool(_) | Value::Text(_) => Value::Null,
            },
            condition => condition.condition(properties)?.map_or(Value::Null, Value::Bool),
        })
    }
}

/// The first condition that is `stop`, unknown when none is and some are unknown, else the opposite.
fn until(conditions: &[Node], stop: bool, properties: &dyn Properties) -> Result<Option<bool>, EvaluationError> {
    let mut outcome = Some(!stop);
    for condition in conditions {
        match condition.condition(properties)? {
            Some(value) if value == stop => return Ok(Some(stop)),
            Some(_) => {}
            None => outcome = None,
        }
    }
    Ok(outcome)
}

/// Two nulls are equal; a null on the left is unknown, one on the right is not equal.
fn equal(left: Value<'_>, right: Value<'_>) -> Result<Option<bool>, EvaluationError> {
    match (left, right) {
        (Value::Null, Value::Null) => Ok(Some(true)),
        (Value::Null, _) => Ok(None),
        (_, Value::Null) => Ok(Some(false)),
        _ => Ok(Some(compare(left, right)? == Compared::Order(Ordering::Equal))),
    }
}

/// A null on either side is unknown; the right side is not looked at when the left one is null.
fn in_order(
    order: Order,
    left: Value<'_>,
    right: &Node,
    properties: &dyn Properties,
) -> Result<Option<bool>, EvaluationError> {
    if matches!(left, Value::Null) {
        return Ok(None);
    }
    let compared = match (left, right.value(properties)?) {
        (_, Value::Null) => return Ok(None),
        (Value::Text(left), Value::Text(right)) => {
            let number = |text| number::double(text).ok_or(EvaluationError::TextOrder);
            double_order(number(left)?, number(right)?)
        }
        (left, right) => compare(left, right)?.ordering(),
    };
    Ok(Some(order.holds(compared)))
}
