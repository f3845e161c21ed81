//! `official-tests.csv`: every official test, what is expected of it, and what Java's own servers make of it.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// All official tests live below this package; the table leaves it out.
pub const PACKAGE: &str = "org.apache.rocketmq.test.";
/// A row with this method speaks of a whole class.
pub const WHOLE_CLASS: &str = "*";

/// What is expected of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It passes.
    Pass,
    /// It fails; the row says why.
    Fail,
    /// It skips itself.
    Skip,
    /// It cannot run against servers in other processes; the row says why.
    NotApplicable,
}

/// When a test runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Set {
    /// At every change: all that fits the time of a CI run.
    Ci,
    /// Only when everything is asked for: the `ci` set and the slow ones.
    Full,
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Without [`PACKAGE`].
    pub class: String,
    /// With the index of a parameterized test, `name[0]`; or [`WHOLE_CLASS`].
    pub method: String,
    /// Against our servers.
    pub ours: Expected,
    /// Against Java 5.5.0 in other processes.
    pub java: Expected,
    /// Against Java, for planning.
    pub seconds: f32,
    /// When it runs.
    pub set: Set,
    /// Why `ours` is not a pass, or one at the second attempt only at times.
    pub why: String,
}

/// Reads the table.
///
/// # Errors
/// When the file is not there or a line of it makes no sense.
pub fn read(file: &Path) -> Result<Vec<Row>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    parse(&text).with_context(|| file.display().to_string())
}

fn parse(text: &str) -> Result<Vec<Row>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(n, line)| row(line).with_context(|| format!("line {}", n + 1))).collect()
}

fn row(line: &str) -> Result<Row> {
    let fields: Vec<&str> = line.splitn(7, ',').collect();
    let [class, method, ours, java, seconds, set, why] = fields[..] else { bail!("seven fields are needed: {line}") };
    let row = Row {
        class: class.to_owned(),
        method: method.to_owned(),
        ours: expected(ours)?,
        java: expected(java)?,
        seconds: seconds.parse()?,
        set: match set {
            "ci" => Set::Ci,
            "full" => Set::Full,
            _ => bail!("the set is ci or full, not {set:?}"),
        },
        why: why.to_owned(),
    };
    if row.why.is_empty() && matches!(row.ours, Expected::Fail | Expected::NotApplicable) {
        bail!("{class}#{method} must say why it is {ours}");
    }
    Ok(row)
}

fn expected(word: &str) -> Result<Expected> {
    Ok(match word {
        "pass" => Expected::Pass,
        "fail" => Expected::Fail,
        "skip" => Expected::Skip,
        "n/a" => Expected::NotApplicable,
        _ => bail!("expected is pass, fail, skip or n/a, not {word:?}"),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_sound() {
        let rows = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("official-tests.csv")).expect("it parses");
        assert!(rows.len() > 200, "every official test has a row, these are {}", rows.len());
        let mut seen = BTreeSet::new();
        for row in &rows {
            assert!(seen.insert((&row.class, &row.method)), "twice: {row:?}");
            assert!(
                row.java != Expected::Fail || row.ours != Expected::Pass,
                "Java's own servers fail it, so why should ours pass: {row:?}"
            );
        }
    }

    #[test]
    fn a_failure_without_a_reason_is_refused() {
        assert!(parse("a.B,t,pass,pass,1,ci,\n").is_ok());
        let error = format!("{:#}", parse("# comment\na.B,t,fail,pass,1,ci,\n").expect_err("no reason"));
        assert!(error.contains("line 2") && error.contains("why"), "{error}");
    }
}
