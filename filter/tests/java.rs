//! Holds this crate against Java's `rocketmq-filter` 5.5.0: random expressions with random messages, and the cases of
//! `cases/mod.rs`. `./test filter` runs it; it needs a JDK and Maven, so `cargo test` alone leaves it out.
//!
//! Random expressions come from a seed, which a failure prints; `HYPERGOL_SEED` repeats it, `HYPERGOL_CASES` says how
//! many there are.

mod cases;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use cases::{CASES, Outcome, TOKENS, outcome};
use hypergol_filter::BloomFilter;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// Random expressions, unless `HYPERGOL_CASES` says otherwise; each meets [`MESSAGES`] messages.
const EXPRESSIONS: usize = 40_000;
const MESSAGES: usize = 5;

/// What Java answers to each line.
fn java(lines: &[String]) -> Vec<String> {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("../compat-tests/java/filter/run");
    let mut child = Command::new(run)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("compat-tests/java/filter/run starts: it needs a JDK and Maven");
    let mut input = child.stdin.take().unwrap();
    let text = lines.join("\n") + "\n";
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let answers: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), lines.len());
    answers
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn line(expression: &str, properties: &HashMap<String, String>) -> String {
    let mut line = format!("E\t{}", hex(expression));
    for (name, value) in properties {
        let _ = write!(line, "\t{}\t{}", hex(name), hex(value));
    }
    line
}

fn parsed(answer: &str) -> Outcome {
    match answer {
        "refused" => Outcome::Refused,
        "error" => Outcome::Error,
        "null" => Outcome::Null,
        "true" => Outcome::True,
        "false" => Outcome::False,
        other => panic!("Java answers {other:?}"),
    }
}

fn env(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().expect("a number"))
}

fn agree(checks: &[(String, HashMap<String, String>)], note: &str) -> HashMap<String, usize> {
    let lines: Vec<String> = checks.iter().map(|(expression, properties)| line(expression, properties)).collect();
    let mut seen = HashMap::new();
    for ((expression, properties), answer) in checks.iter().zip(java(&lines)) {
        let expected = parsed(&answer);
        let found = outcome(expression, properties);
        assert_eq!(found, expected, "{expression:?} with {properties:?} (ours, Java's){note}");
        *seen.entry(answer).or_default() += 1;
    }
    seen
}

#[test]
#[ignore = "needs a JDK and Maven: ./test filter"]
fn java_agrees_with_the_cases() {
    let own =
        |properties: &[(&str, &str)]| properties.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let checks: Vec<_> = CASES.iter().map(|(text, properties, _)| ((*text).to_owned(), own(properties))).collect();
    agree(&checks, "");
}

#[test]
#[ignore = "needs a JDK and Maven: ./test filter"]
fn java_agrees_with_random_expressions() {
    let seed = env("HYPERGOL_SEED").unwrap_or_else(|| rand::rng().random());
    let count = env("HYPERGOL_CASES").map_or(EXPRESSIONS, |count| count as usize);
    println!("HYPERGOL_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut checks = Vec::new();
    for _ in 0..count {
        let expression = Generator { random: &mut random }.expression();
        for _ in 0..MESSAGES {
            checks.push((expression.clone(), Generator { random: &mut random }.message()));
        }
    }
    let seen = agree(&checks, &format!(", HYPERGOL_SEED={seed}"));
    println!("{seen:?}");
    let checked = checks.len();
    for outcome in ["refused", "error", "null", "true", "false"] {
        let share = seen.get(outcome).copied().unwrap_or_default();
        assert!(checked < 10_000 || share * 100 > checked, "hardly ever {outcome}: {seen:?}");
    }
}

#[test]
#[ignore = "needs a JDK and Maven: ./test filter"]
fn java_agrees_with_the_bloom_filter() {
    let seed = env("HYPERGOL_SEED").unwrap_or_else(|| rand::rng().random());
    println!("HYPERGOL_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut lines = Vec::new();
    let mut ours = Vec::new();
    for error in 1..100 {
        for names in [1, 2, 3, 7, 32, 64, 100, 1000, random.random_range(1..10_000)] {
            let length = random.random_range(0..70);
            let text: String = (0..length).map(|_| *['a', '#', '中', '%', '9'].choose(&mut random).unwrap()).collect();
            lines.push(format!("B\t{error}\t{names}\t{}", hex(&text)));
            let filter = BloomFilter::new(error, names).unwrap();
            let positions = filter.positions(&text);
            ours.push(positions.iter().fold(filter.bits().to_string(), |line, position| format!("{line} {position}")));
        }
    }
    for ((line, ours), java) in lines.iter().zip(&ours).zip(java(&lines)) {
        assert_eq!(*ours, java, "{line}, HYPERGOL_SEED={seed}");
    }
}

/// Makes expressions that mostly compile, and messages that they say something of.
struct Generator<'a> {
    random: &'a mut StdRng,
}

const NAMES: &[&str] = &["a", "b", "c", "_z$"];
const VALUES: &[&str] = &[
    "0",
    "1",
    "-1",
    "+7",
    "007",
    "3",
    "3.5",
    "1e3",
    ".5",
    "1.",
    "2147483647",
    "2147483648",
    "-2147483648",
    "5000000000",
    "9223372036854775807",
    "9223372036854775808",
    "NaN",
    "Infinity",
    "-Infinity",
    "-0.0",
    "0.0",
    "1f",
    "1D",
    "1L",
    " 1",
    "1 ",
    "\t3.5\n",
    "0x10",
    "0x1p4",
    "0x1.8p1f",
    "0X.8P+2",
    "0x1p-1080",
    "1e400",
    "1e-400",
    "4.9e-324",
    "2.4e-324",
    "1.7976931348623157e308",
    "1.7976931348623159e308",
    "0.1",
    "9007199254740993",
    "true",
    "TRUE",
    "false",
    "tRuE",
    "abc",
    "ABC",
    "ab",
    "bc",
    "it's",
    "中",
    "a中b",
    "\u{663}",
    "１２",
    "1_000",
    "--1",
    "+",
    "-",
    ".",
    "e5",
    "1e",
    "nan",
    "",
];
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "3",
    "7L",
    "7l",
    "2147483647",
    "2147483648",
    "5000000000",
    "9223372036854775807",
    "3.5",
    "1e3",
    ".5",
    "1.",
    "0.1",
    "1E-3",
    "4.9e-324",
    "1.7976931348623157e308",
    "9007199254740993",
    "9007199254740993.0",
    "1.0",
];
const ODD_NUMBERS: &[&str] = &["9223372036854775808", "0.0", "1e400", "1e-400", "012", "0x10", "0L", "1.5.5"];
const STRINGS: &[&str] =
    &["''", "'1'", "'abc'", "'ab'", "'b'", "'bc'", "'it''s'", "'中'", "'true'", "'3.5'", "'''", "'x"];

impl Generator<'_> {
    fn one(&mut self, of: &[&'static str]) -> &'static str {
        of.choose(self.random).unwrap()
    }

    fn message(&mut self) -> HashMap<String, String> {
        let mut message = HashMap::new();
        for name in NAMES {
            if self.random.random_bool(0.7) {
                message.insert((*name).to_owned(), self.one(VALUES).to_owned());
            }
        }
        message
    }

    fn expression(&mut self) -> String {
        let text = match self.random.random_range(0..20) {
            0 => {
                let count = self.random.random_range(0..12);
                (0..count).map(|_| self.one(TOKENS)).collect::<Vec<_>>().join(" ")
            }
            _ => self.condition(3),
        };
        if self.random.random_bool(0.1) { self.spoil(text) } else { text }
    }

    /// Takes a character out, doubles one, or puts a token in.
    fn spoil(&mut self, text: String) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        if characters.is_empty() {
            return text;
        }
        let at = self.random.random_range(0..characters.len());
        match self.random.random_range(0..3) {
            0 => drop(characters.remove(at)),
            1 => characters.insert(at, characters[at]),
            _ => {
                let token = self.one(TOKENS);
                characters.splice(at..at, token.chars());
            }
        }
        characters.into_iter().collect()
    }

    fn not(&mut self) -> &'static str {
        if self.random.random_bool(0.3) { "NOT " } else { "" }
    }

    fn condition(&mut self, depth: u32) -> String {
        let kinds = if depth == 0 { 11 } else { 18 };
        match self.random.random_range(0..kinds) {
            0..=3 => {
                let operator = self.one(&["=", "<>", "<", "<=", ">", ">="]);
                format!("{} {operator} {}", self.operand(depth), self.operand(depth))
            }
            4 => format!("{} IS {}NULL", self.operand(depth), self.not()),
            5 => {
                let count = self.random.random_range(1..12);
                let list = (0..count).map(|_| self.one(&STRINGS[..10])).collect::<Vec<_>>().join(", ");
                format!("{} {}IN ({list})", self.one(NAMES), self.not())
            }
            6 => {
                let (value, not) = (self.operand(depth), self.not());
                format!("{value} {not}BETWEEN {} AND {}", self.bound(), self.bound())
            }
            7 | 8 => {
                let (value, not) = (self.operand(depth), self.not());
                let search = self.one(&["CONTAINS", "startswith", "EndsWith"]);
                format!("{value} {not}{search} {}", self.one(&STRINGS[..10]))
            }
            9 => self.one(&["TRUE", "FALSE", "NULL"]).to_owned(),
            10 => self.one(NAMES).to_owned(),
            11 => format!("NOT ({})", self.condition(depth - 1)),
            12 => format!("NOT {}", self.condition(depth - 1)),
            13 => format!("({})", self.condition(depth - 1)),
            14 | 15 => format!("{} AND {}", self.condition(depth - 1), self.condition(depth - 1)),
            _ => format!("{} OR {}", self.condition(depth - 1), self.condition(depth - 1)),
        }
    }

    /// A bound of BETWEEN: mostly a number.
    fn bound(&mut self) -> String {
        if self.random.random_bool(0.7) { self.one(NUMBERS).to_owned() } else { self.operand(0) }
    }

    fn operand(&mut self, depth: u32) -> String {
        match self.random.random_range(0..24) {
            0..=11 => self.one(NAMES).to_owned(),
            12..=16 => self.one(NUMBERS).to_owned(),
            17 => self.one(ODD_NUMBERS).to_owned(),
            18 => self.one(STRINGS).to_owned(),
            19 => format!("-{}", self.one(NUMBERS)),
            20 => format!("{} {}", self.one(&["-", "+", "- -"]), self.one(NAMES)),
            21 => self.one(&["TRUE", "FALSE", "NULL"]).to_owned(),
            22 if depth > 0 => format!("({})", self.condition(depth - 1)),
            _ => format!("({})", self.one(NAMES)),
        }
    }
}
