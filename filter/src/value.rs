//! Values of expressions, and how two of them compare.

use std::cmp::Ordering;

use crate::expression::EvaluationError;
use crate::number;

/// What an expression is for one message.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// An absent property, `NULL`, or what follows from them.
    Null,
    /// True or false.
    Bool(bool),
    /// A number of 32 bits.
    Int(i32),
    /// A number of 64 bits.
    Long(i64),
    /// A floating number.
    Double(f64),
    /// A property, or a string of the expression.
    Text(&'a [u8]),
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Java's `compareTo`.
    Order(Ordering),
    /// Java answers -1 for kinds that do not compare: less for `<`, and not equal.
    Unlike,
}

impl Compared {
    /// As one ordering, with -1 for what does not compare.
    pub fn ordering(self) -> Ordering {
        match self {
            Self::Order(ordering) => ordering,
            Self::Unlike => Ordering::Less,
        }
    }
}

/// Compares two values, neither of them [`Value::Null`]; a text beside another kind is converted to it.
pub fn compare(left: Value<'_>, right: Value<'_>) -> Result<Compared, EvaluationError> {
    use Value::{Bool, Double, Int, Long, Null, Text};
    let not_a_number = EvaluationError::NotANumber;
    let order = match (left, right) {
        (Bool(left), Bool(right)) => left.cmp(&right),
        (Text(left), Text(right)) => left.cmp(right),
        // Java casts the wrong side.
        (Bool(_), Text(_)) => return Err(EvaluationError::BooleanAndText),
        (Text(left), Bool(right)) => left.eq_ignore_ascii_case(b"true").cmp(&right),

        (Int(left), Int(right)) => left.cmp(&right),
        (Int(left), Long(right)) => i64::from(left).cmp(&right),
        (Long(left), Int(right)) => left.cmp(&i64::from(right)),
        (Long(left), Long(right)) => left.cmp(&right),
        (Int(left), Double(right)) => double_order(f64::from(left), right),
        (Double(left), Int(right)) => double_order(left, f64::from(right)),
        (Long(left), Double(right)) => double_order(left as f64, right),
        (Double(left), Long(right)) => double_order(left, right as f64),
        (Double(left), Double(right)) => double_order(left, right),

        (Int(left), Text(right)) => left.cmp(&number::integer(right).ok_or(not_a_number)?),
        (Text(left), Int(right)) => number::integer::<i32>(left).ok_or(not_a_number)?.cmp(&right),
        (Long(left), Text(right)) => left.cmp(&number::integer(right).ok_or(not_a_number)?),
        (Text(left), Long(right)) => number::integer::<i64>(left).ok_or(not_a_number)?.cmp(&right),
        (Double(left), Text(right)) => double_order(left, number::double(right).ok_or(not_a_number)?),
        (Text(left), Double(right)) => double_order(number::double(left).ok_or(not_a_number)?, right),

        (Bool(_), Int(_) | Long(_) | Double(_)) | (Int(_) | Long(_) | Double(_), Bool(_)) | (Null, _) | (_, Null) => {
            return Ok(Compared::Unlike);
        }
    };
    Ok(Compared::Order(order))
}

/// `Double.compareTo`: -0.0 is below 0.0, and NaN equals itself and is above all others.
pub fn double_order(left: f64, right: f64) -> Ordering {
    match left.partial_cmp(&right) {
        Some(Ordering::Equal) => right.is_sign_negative().cmp(&left.is_sign_negative()),
        Some(order) => order,
        None => left.is_nan().cmp(&right.is_nan()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_in_total_order() {
        let ascending = [f64::NEG_INFINITY, -1.0, -0.0, 0.0, 1.0, f64::INFINITY, f64::NAN];
        for (i, left) in ascending.iter().enumerate() {
            for (j, right) in ascending.iter().enumerate() {
                assert_eq!(double_order(*left, *right), i.cmp(&j), "{left} {right}");
            }
        }
    }

    #[test]
    fn texts_become_what_is_beside_them() {
        let order = |left, right| compare(left, right).map(Compared::ordering);
        assert_eq!(order(Value::Text(b"7"), Value::Int(7)), Ok(Ordering::Equal));
        assert_eq!(order(Value::Text(b"7.0"), Value::Int(7)), Err(EvaluationError::NotANumber));
        assert_eq!(order(Value::Text(b"7.0"), Value::Double(7.0)), Ok(Ordering::Equal));
        assert_eq!(order(Value::Text(b"3000000000"), Value::Int(7)), Err(EvaluationError::NotANumber));
        assert_eq!(order(Value::Text(b"3000000000"), Value::Long(7)), Ok(Ordering::Greater));
        assert_eq!(order(Value::Text(b"TrUe"), Value::Bool(true)), Ok(Ordering::Equal));
        assert_eq!(order(Value::Bool(true), Value::Text(b"true")), Err(EvaluationError::BooleanAndText));
        assert_eq!(compare(Value::Bool(true), Value::Int(1)), Ok(Compared::Unlike));
    }
}
