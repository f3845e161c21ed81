//! Holds headers, bodies and message encodings against what Java 5.5.0 wrote (`compat-tests/golden/frames`).

mod bodies;
mod headers;
mod messages;

use serde_json::Value;

/// The lines of a golden file.
fn lines(file: &str) -> Vec<Value> {
    let path = format!("{}/../compat-tests/golden/frames/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A text field of a line.
fn text<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap_or_else(|| panic!("no {field} in {line}"))
}

/// The bytes of a field in hexadecimal digits.
fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}
