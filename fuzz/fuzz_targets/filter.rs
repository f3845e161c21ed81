//! SQL92 expressions: whatever the text, compiling answers or refuses; evaluation ends with a value or an error.
#![no_main]

use hypergol_filter::{Expression, Properties};
use libfuzzer_sys::fuzz_target;

/// Every property has the same value.
struct Same<'a>(&'a [u8]);

impl Properties for Same<'_> {
    fn get(&self, _name: &str) -> Option<&[u8]> {
        (!self.0.is_empty()).then_some(self.0)
    }
}

fuzz_target!(|data: (&str, &[u8])| {
    let (text, value) = data;
    if let Ok(expression) = Expression::compile(text) {
        let _ = expression.evaluate(&Same(value));
    }
});
