//! What expressions mean: cases taken from the behaviour of Java's `rocketmq-filter` 5.5.0, each of them checked against
//! it by `tests/java.rs`.

mod cases;

use cases::{CASES, Outcome, outcome};
use hypergol_filter::{DEPTH_MAX, EXPRESSION_BYTES_MAX, Expression};
use proptest::prelude::*;

#[test]
fn expressions_mean_what_they_mean_in_java() {
    for (expression, properties, expected) in CASES {
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(outcome(expression, &properties), *expected, "{expression:?} with {properties:?}");
    }
}

#[test]
fn errors_name_the_place() {
    for (expression, place) in [
        (
            "a >",
            "Encountered <EOF>, was expecting a property, string, number, TRUE, FALSE, NULL, NOT, \"(\", \"+\" or \"-\", at line 1, column 4",
        ),
        ("a > 1 AND\n\tb IS 'x'", "Encountered \"'x'\", was expecting NULL or NOT NULL, at line 2, column 14"),
        ("a = 1 AND # = 2", "Lexical error: encountered '#' at line 1, column 11"),
        ("a = 'x", "Unterminated string at line 1, column 5"),
        ("𝄞 = 1", "Lexical error: encountered '𝄞' at line 1, column 1"),
        ("a = '𝄞' AND 7", "Expression will not result in a boolean value at line 1, column 14"),
        ("a > 'x'", "A string cannot be compared by '>=', '>', '<', '<=' at line 1, column 5"),
        ("a IN ('x' 'y')", "Encountered \"'y')\", was expecting \",\" or \")\", at line 1, column 11"),
        (
            "",
            "Encountered <EOF>, was expecting a property, string, number, TRUE, FALSE, NULL, NOT, \"(\", \"+\" or \"-\", at line 1, column 1",
        ),
    ] {
        assert_eq!(Expression::compile(expression).unwrap_err().to_string(), place, "{expression:?}");
    }
}

#[test]
fn length_and_depth_are_bounded() {
    // Half of what threads of the broker have.
    std::thread::Builder::new().stack_size(1 << 20).spawn(check_bounds).unwrap().join().unwrap();
}

fn check_bounds() {
    let long = format!("a = '{}'", "x".repeat(EXPRESSION_BYTES_MAX));
    assert!(Expression::compile(&long).unwrap_err().reason.contains("longer than"));
    let depth = DEPTH_MAX as usize;
    for (open, inner, close) in
        [("(", "a = 1", ")"), ("NOT ", "a", ""), ("- ", "a", " = 1"), ("+", "a", ""), ("a = (", "a = 1", ")")]
    {
        let nested = |levels: usize| {
            open.repeat(levels) + inner + &close.repeat(levels.min(if close == " = 1" { 1 } else { levels }))
        };
        assert!(Expression::compile(&nested(depth / 2)).is_ok(), "{open}");
        for levels in [depth + 1, 10 * depth] {
            let error = Expression::compile(&nested(levels)).unwrap_err();
            assert!(error.reason.contains("nested deeper"), "{open}: {error}");
        }
    }
    let chain = |operator: &str, count: usize| vec!["a = 1"; count].join(operator);
    assert!(Expression::compile(&chain(" OR ", 5000)).unwrap().matches(&[("a", "1")]), "chains are not deep");
    assert!(Expression::compile(&chain(" AND ", 5000)).is_ok());
    assert!(Expression::compile(&format!("a{}", " IS NULL".repeat(depth + 1))).is_err());
}

proptest! {
    #[test]
    fn any_text_is_an_expression_or_an_error(text in "(?s).{0,60}") {
        let _ = Expression::compile(&text).map(|expression| expression.evaluate(&[("a", "1")]));
    }

    #[test]
    fn any_tokens_are_an_expression_or_an_error(
        tokens in proptest::collection::vec(prop::sample::select(cases::TOKENS), 0..30),
        value in "[-+0-9a-fA-Fx.lLdD ]{0,8}",
    ) {
        let text = tokens.join(" ");
        match Expression::compile(&text) {
            Ok(expression) => {
                let found = outcome(&text, &[("a".to_owned(), value.clone())].into());
                let matched = expression.matches(&[("a", value.as_str())]);
                prop_assert_eq!(matched, found == Outcome::True);
            }
            Err(error) => {
                let lines = text.split('\n').count();
                prop_assert!((1..=lines).contains(&(error.line as usize)), "{}", error);
                prop_assert!((1..=text.len() + 1).contains(&(error.column as usize)), "{}", error);
            }
        }
    }
}
