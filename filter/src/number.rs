//! Numbers from text, exactly as Java reads them.

/// `Integer.valueOf` and, by its range, `Long.valueOf`: an optional sign and decimal digits of any script, nothing else.
pub fn integer<T: TryFrom<i64>>(text: &[u8]) -> Option<T> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    // Counted down: the smallest number has no positive counterpart.
    let push = |value: i64, digit: i64| value.checked_mul(10)?.checked_sub(digit);
    let value = if digits.is_ascii() {
        digits.iter().try_fold(0, |value, byte| push(value, byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?))?
    } else {
        std::str::from_utf8(digits).ok()?.chars().try_fold(0, |value, c| push(value, decimal_digit(c)?))?
    };
    T::try_from(if negative { value } else { value.checked_neg()? }).ok()
}

/// Zeros of the scripts whose digits `Character.digit` takes for decimal ones, each followed by its nine others; those
/// of the basic plane, as Java looks at one UTF-16 unit at a time.
const ZEROS: [u32; 37] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620,
    0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
];

fn decimal_digit(c: char) -> Option<i64> {
    let c = u32::from(c);
    let zero = ZEROS[..ZEROS.partition_point(|zero| *zero <= c)].last()?;
    (c - zero < 10).then(|| i64::from(c - zero))
}

/// `Double.valueOf`: surrounding control characters and spaces, a sign, `NaN`, `Infinity`, decimal and hexadecimal
/// numbers, one of the suffixes `fFdD`.
pub fn double(text: &[u8]) -> Option<f64> {
    let text = trim(text);
    let (negative, number) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let magnitude = match number {
        b"NaN" => f64::NAN,
        b"Infinity" => f64::INFINITY,
        [b'0', b'x' | b'X', rest @ ..] => hexadecimal(without_suffix(rest))?,
        _ => decimal(without_suffix(number))?,
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// `String.trim`, which takes all up to U+0020 for space.
fn trim(text: &[u8]) -> &[u8] {
    let Some(start) = text.iter().position(|byte| *byte > b' ') else { return &[] };
    let end = text.iter().rposition(|byte| *byte > b' ').map_or(0, |last| last + 1);
    &text[start..end]
}

fn without_suffix(number: &[u8]) -> &[u8] {
    match number {
        [rest @ .., b'f' | b'F' | b'd' | b'D'] => rest,
        all => all,
    }
}

/// Digits with at most one point, then at most one exponent.
fn decimal(number: &[u8]) -> Option<f64> {
    let count = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = count(number);
    let mut at = whole;
    let mut fraction = 0;
    if number.get(at) == Some(&b'.') {
        fraction = count(&number[at + 1..]);
        at += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    if let Some(b'e' | b'E') = number.get(at) {
        at += 1;
        at += usize::from(matches!(number.get(at), Some(b'+' | b'-')));
        let digits = count(&number[at..]);
        if digits == 0 {
            return None;
        }
        at += digits;
    }
    if at != number.len() {
        return None;
    }
    // The form is one that Rust knows, and both round to the nearest, ties to even.
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// What follows `0x`: digits with at most one point, and an exponent of two, which must be there.
fn hexadecimal(number: &[u8]) -> Option<f64> {
    let power_at = number.iter().position(|byte| matches!(byte, b'p' | b'P'))?;
    let (digits, power) = (&number[..power_at], &number[power_at + 1..]);
    let (negative, power) = match power {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if power.is_empty() || !power.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let power = power.iter().fold(0i64, |value, byte| value.saturating_mul(10).saturating_add(i64::from(byte - b'0')));
    let power = if negative { -power } else { power };

    let point = digits.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match point {
        Some(point) => (&digits[..point], &digits[point + 1..]),
        None => (digits, &digits[..0]),
    };
    // Java wants a digit behind a point that nothing precedes, and takes `1.` for a number.
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    // 64 bits of the significand, and whether anything below them is set: enough to round once.
    let mut significand = 0u64;
    let mut exponent = 0i64;
    let mut rest = false;
    for (index, byte) in whole.iter().chain(fraction).enumerate() {
        let digit = u64::from(char::from(*byte).to_digit(16)?);
        let behind_point = index >= whole.len();
        if significand >> 60 == 0 {
            significand = significand << 4 | digit;
            exponent -= if behind_point { 4 } else { 0 };
        } else {
            rest |= digit != 0;
            exponent += if behind_point { 0 } else { 4 };
        }
    }
    Some(rounded(significand, rest, exponent.saturating_add(power)))
}

/// `significand * 2^exponent`, and a little more when `more`, to the nearest double, ties to even.
fn rounded(significand: u64, more: bool, exponent: i64) -> f64 {
    if significand == 0 {
        return 0.0;
    }
    let shift = significand.leading_zeros();
    let significand = significand << shift;
    // The value is significand * 2^low with the top bit set: its exponent as a double is low + 63.
    let low = exponent.saturating_sub(i64::from(shift));
    let high = low.saturating_add(63);
    if high > 1023 {
        return f64::INFINITY;
    }
    // A normal double keeps 53 bits, one below 2^-1022 as many as are left above 2^-1074.
    let kept = if high >= -1022 { 53 } else { 53 - (-1022 - high).min(54) };
    if kept < 0 {
        return 0.0;
    }
    let dropped = 64 - kept as u32;
    let (kept_bits, half, below) = match dropped {
        64 => (0, significand >> 63 == 1, significand << 1 != 0 || more),
        _ => {
            let half = significand >> (dropped - 1) & 1 == 1;
            let below = dropped > 1 && significand << (64 - (dropped - 1)) != 0 || more;
            (significand >> dropped, half, below)
        }
    };
    let bits = kept_bits + u64::from(half && (below || kept_bits & 1 == 1));
    // At most 53 bits, so exact; the power is within what two factors can give.
    let power = low + i64::from(dropped);
    let (first, second) = (power.max(-1000), power.min(-1000) + 1000);
    bits as f64 * 2f64.powi(first as i32) * 2f64.powi(second as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_a_sign_and_digits_only() {
        assert_eq!(integer::<i32>(b"12"), Some(12));
        assert_eq!(integer::<i32>(b"+012"), Some(12));
        assert_eq!(integer::<i32>(b"-2147483648"), Some(i32::MIN));
        assert_eq!(integer::<i64>(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(integer::<i32>("١٢".as_bytes()), Some(12));
        assert_eq!(integer::<i32>("-１２".as_bytes()), Some(-12));
        for wrong in ["", "+", "-", " 1", "1 ", "1L", "1.0", "0x1", "--1", "2147483648", "Ⅷ"] {
            assert_eq!(integer::<i32>(wrong.as_bytes()), None, "{wrong:?}");
        }
        assert_eq!(integer::<i64>(b"9223372036854775808"), None);
        assert_eq!(integer::<i64>(b"\xff1"), None);
    }

    #[test]
    fn doubles_take_what_java_takes() {
        for (text, value) in [
            ("1", 1.0),
            (" \t1.5f\n", 1.5),
            ("-.5d", -0.5),
            ("+5.", 5.0),
            ("1e3", 1000.0),
            ("1E+3D", 1000.0),
            ("1e999999999999", f64::INFINITY),
            ("0e999999999999", 0.0),
            ("-Infinity", f64::NEG_INFINITY),
            ("0x1p3", 8.0),
            ("0X.8P0f", 0.5),
            ("-0x1.8p1", -3.0),
            ("0x1.fffffffffffff7p0", 1.999_999_999_999_999_8),
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1.fffffffffffff80001p1023", f64::INFINITY),
            ("0x1p-1074", 4.9e-324),
            ("0x1p-1075", 0.0),
            ("0x1.0000000000000000001p-1075", 4.9e-324),
            ("0x0.00000000000000000000000001p104", 1.0),
            ("0x100000000000000000000p-80", 1.0),
            ("0x1p99999999999999999999", f64::INFINITY),
            ("0x1p-99999999999999999999", 0.0),
            ("0x0p99999999999999999999", 0.0),
        ] {
            assert_eq!(double(text.as_bytes()), Some(value), "{text:?}");
        }
        assert!(double(b"+NaN").is_some_and(f64::is_nan));
        for wrong in [
            "",
            " ",
            ".",
            "e5",
            "1e",
            "1ff",
            "nan",
            "inf",
            "infinity",
            "Infinityf",
            "1 2",
            "0x1",
            "0x.p1",
            "0xp1",
            "1_0",
            "١",
        ] {
            assert_eq!(double(wrong.as_bytes()), None, "{wrong:?}");
        }
    }
}
