//! What came of a run: a text that a person reads, and JUnit XML for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

/// How one test ended, compared with what was expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed; the text says what is remarkable about it.
    Passed(Option<String>),
    /// It should have passed.
    Failed {
        /// One line.
        message: String,
        /// Stack trace or output; may be empty.
        detail: String,
    },
    /// It did not run, and why.
    Skipped(String),
    /// It is known to fail against these servers, and why.
    KnownFailure(String),
    /// It cannot run against servers in other processes, and why.
    NotApplicable(String),
}

/// One test.
#[derive(Clone, Debug)]
pub struct Test {
    /// Suite of the runner: `official`, `java-client-5.5.0`, …
    pub suite: String,
    /// Class, or whatever groups tests in that suite.
    pub class: String,
    /// Method.
    pub name: String,
    /// How long it ran.
    pub time: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

/// All tests of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Lines about the run as a whole, printed first.
    pub headline: Vec<String>,
    /// In any order.
    pub tests: Vec<Test>,
}

/// How many tests ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed.
    pub passed: usize,
    /// Failed although expected to pass.
    pub failed: usize,
    /// Skipped.
    pub skipped: usize,
    /// Known failures, run or not.
    pub known: usize,
    /// Not applicable.
    pub not_applicable: usize,
}

impl Counts {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Passed(_) => self.passed += 1,
            Outcome::Failed { .. } => self.failed += 1,
            Outcome::Skipped(_) => self.skipped += 1,
            Outcome::KnownFailure(_) => self.known += 1,
            Outcome::NotApplicable(_) => self.not_applicable += 1,
        }
    }

    fn line(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped, {} known to fail, {} not applicable",
            self.passed, self.failed, self.skipped, self.known, self.not_applicable
        )
    }
}

impl Report {
    /// The counts over all suites.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.tests.iter().for_each(|t| counts.add(&t.outcome));
        counts
    }

    /// Something ran, and nothing that should pass failed.
    pub fn is_success(&self) -> bool {
        let counts = self.counts();
        counts.passed > 0 && counts.failed == 0
    }

    /// The text for people. Failures come last, where a terminal leaves them in sight.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for line in &self.headline {
            let _ = writeln!(out, "{line}");
        }
        let mut suites: BTreeMap<&str, Vec<&Test>> = BTreeMap::new();
        self.tests.iter().for_each(|t| suites.entry(&t.suite).or_default().push(t));
        for (suite, tests) in &suites {
            let mut counts = Counts::default();
            tests.iter().for_each(|t| counts.add(&t.outcome));
            let _ = writeln!(out, "\n== {suite}: {}", counts.line());
            per_class(&mut out, tests);
            section(&mut out, "remarks", tests, |o| match o {
                Outcome::Passed(remark) => remark.as_deref(),
                _ => None,
            });
            section(&mut out, "skipped", tests, |o| if let Outcome::Skipped(why) = o { Some(why) } else { None });
            section(&mut out, "known to fail", tests, |o| {
                if let Outcome::KnownFailure(why) = o { Some(why) } else { None }
            });
            section(&mut out, "not applicable", tests, |o| {
                if let Outcome::NotApplicable(why) = o { Some(why) } else { None }
            });
        }
        section(&mut out, "FAILED", &self.tests.iter().collect::<Vec<_>>(), |o| {
            if let Outcome::Failed { message, .. } = o { Some(message) } else { None }
        });
        let _ = writeln!(out, "\n{}", self.counts().line());
        out
    }

    /// Writes `report.txt` and one `junit/SUITE/TEST-CLASS.xml` per class that ran.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("report.txt"), self.text())?;
        let mut classes: BTreeMap<(&str, &str), Vec<&Test>> = BTreeMap::new();
        for test in &self.tests {
            if !matches!(test.outcome, Outcome::NotApplicable(_)) {
                classes.entry((&test.suite, &test.class)).or_default().push(test);
            }
        }
        for ((suite, class), tests) in classes {
            let folder = folder.join("junit").join(suite);
            std::fs::create_dir_all(&folder)?;
            let file = class.replace(|c: char| !c.is_alphanumeric() && c != '.' && c != '-', "_");
            std::fs::write(folder.join(format!("TEST-{file}.xml")), junit(class, &tests))?;
        }
        Ok(())
    }
}

/// One line a class that ran: counts and time.
fn per_class(out: &mut String, tests: &[&Test]) {
    let mut classes: BTreeMap<&str, (Counts, Duration)> = BTreeMap::new();
    for test in tests {
        let (counts, time) = classes.entry(&test.class).or_default();
        counts.add(&test.outcome);
        *time += test.time;
    }
    for (class, (counts, time)) in classes {
        if counts.passed + counts.failed > 0 {
            let mark = if counts.failed > 0 { "FAIL" } else { "pass" };
            let failed = if counts.failed > 0 { format!(", {} failed", counts.failed) } else { String::new() };
            let _ = writeln!(out, "{mark} {class}: {} passed{failed}, {:.1} s", counts.passed, time.as_secs_f32());
        }
    }
}

/// The tests for which `why` has something to say, grouped by it; many tests of a class in one line.
fn section<'a>(out: &mut String, title: &str, tests: &[&'a Test], why: impl Fn(&'a Outcome) -> Option<&'a str>) {
    const MESSAGE_CHARS_MAX: usize = 300;
    const NAMES_OF_A_CLASS_MAX: usize = 3;
    let mut reasons: BTreeMap<String, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for test in tests {
        if let Some(reason) = why(&test.outcome) {
            let reason = reason.lines().next().unwrap_or_default().chars().take(MESSAGE_CHARS_MAX).collect();
            reasons.entry(reason).or_default().entry(&test.class).or_default().push(&test.name);
        }
    }
    if reasons.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n-- {title}");
    for (reason, classes) in reasons {
        let _ = writeln!(out, "{reason}");
        for (class, names) in classes {
            if names.len() > NAMES_OF_A_CLASS_MAX {
                let _ = writeln!(out, "    {class}: {} tests", names.len());
                continue;
            }
            for name in names {
                let _ = writeln!(out, "    {class}#{name}");
            }
        }
    }
}

fn junit(class: &str, tests: &[&Test]) -> String {
    let mut cases = String::new();
    let (mut failures, mut skipped) = (0, 0);
    for test in tests {
        let _ = write!(
            cases,
            "  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
            escape(class),
            escape(&test.name),
            test.time.as_secs_f64()
        );
        let skip = match &test.outcome {
            Outcome::Passed(_) => {
                cases.push_str("/>\n");
                continue;
            }
            Outcome::Failed { message, detail } => {
                failures += 1;
                let _ = writeln!(
                    cases,
                    "><failure message=\"{}\">{}</failure></testcase>",
                    escape(message),
                    escape(detail)
                );
                continue;
            }
            Outcome::Skipped(why) | Outcome::NotApplicable(why) => why.clone(),
            Outcome::KnownFailure(why) => format!("known to fail: {why}"),
        };
        skipped += 1;
        let _ = writeln!(cases, "><skipped message=\"{}\"/></testcase>", escape(&skip));
    }
    let time: Duration = tests.iter().map(|t| t.time).sum();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" \
         errors=\"0\" skipped=\"{skipped}\" time=\"{:.3}\">\n{cases}</testsuite>\n",
        escape(class),
        tests.len(),
        time.as_secs_f64()
    )
}

/// Text for XML content and attributes; characters that XML 1.0 cannot hold become `?`.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' | '\r' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(name: &str, outcome: Outcome) -> Test {
        Test {
            suite: "s".to_owned(),
            class: "a.B".to_owned(),
            name: name.to_owned(),
            time: Duration::from_millis(1500),
            outcome,
        }
    }

    fn failed() -> Outcome {
        Outcome::Failed { message: "x < \"y\" \u{1}".to_owned(), detail: "at\nline".to_owned() }
    }

    #[test]
    fn nothing_passed_is_no_success() {
        assert!(!Report::default().is_success());
        let skipped = Report { tests: vec![test("t", Outcome::Skipped("because".to_owned()))], ..Report::default() };
        assert!(!skipped.is_success());
    }

    #[test]
    fn one_failure_is_no_success() {
        let mut report = Report { tests: vec![test("t", Outcome::Passed(None))], ..Report::default() };
        assert!(report.is_success());
        report.tests.push(test("u", failed()));
        assert!(!report.is_success());
        assert!(report.text().contains("-- FAILED\nx < \"y\" \u{1}\n    a.B#u\n"), "{}", report.text());
    }

    #[test]
    fn many_tests_of_a_class_are_one_line() {
        let known = |n: usize| test(&format!("t{n}"), Outcome::KnownFailure("why".to_owned()));
        let report = Report { tests: (0..4).map(known).collect(), ..Report::default() };
        assert!(report.text().contains("why\n    a.B: 4 tests\n"), "{}", report.text());
    }

    #[test]
    fn junit_is_xml_with_every_case() {
        let tests =
            [test("t", Outcome::Passed(None)), test("u", failed()), test("v", Outcome::Skipped("no".to_owned()))];
        let xml = junit("a.B", &tests.iter().collect::<Vec<_>>());
        let document = roxmltree::Document::parse(&xml).expect("well-formed");
        let cases = document.descendants().filter(|n| n.has_tag_name("testcase"));
        let names: Vec<_> = cases.filter_map(|n| n.attribute("name")).collect();
        assert_eq!(names, ["t", "u", "v"]);
        assert_eq!(document.root_element().attribute("failures"), Some("1"));
    }
}
