//! The suites written with the official clients. The contract with them is in `README.md`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::interrupt::{self, Started};
use crate::report::{Outcome, Test};

/// A suite that has not ended after this is killed.
const SUITE_TIMEOUT: Duration = Duration::from_secs(20 * 60);
const POLL: Duration = Duration::from_millis(200);

/// One command to run.
#[derive(Clone, Debug)]
pub struct Suite {
    /// In the report.
    pub name: String,
    /// The folder of the suite; its executable is `run`.
    pub folder: PathBuf,
    /// Arguments of `run`.
    pub arguments: Vec<String>,
}

/// What a suite is told.
#[derive(Clone, Debug)]
pub struct Environment {
    /// `HOST:PORT`.
    pub namesrv: String,
    /// Cluster name.
    pub cluster: String,
    /// `HOST:PORT` of the control socket, when the servers are ours.
    pub control: Option<String>,
    /// Substring of the tests to run.
    pub filter: Option<String>,
}

impl Suite {
    /// Runs it and reads its XML. Never fails: what goes wrong is a failed test.
    pub fn run(&self, environment: &Environment, xml: &Path, log: &Path) -> Vec<Test> {
        let broken = |message: String| Test {
            suite: self.name.clone(),
            class: self.name.clone(),
            name: "run".to_owned(),
            time: Duration::ZERO,
            outcome: Outcome::Failed { message, detail: String::new() },
        };
        let ended = self.execute(environment, xml, log);
        let mut tests = match self.results(xml) {
            Ok(tests) => tests,
            Err(e) => return vec![broken(format!("its XML cannot be read: {e:#}"))],
        };
        let any_failed = tests.iter().any(|t| matches!(t.outcome, Outcome::Failed { .. }));
        match ended {
            Err(e) => tests.push(broken(format!("{e:#}"))),
            Ok(false) if !any_failed => {
                tests.push(broken(format!("it ended with an error and no failed test, see {}", log.display())));
            }
            Ok(_) if tests.is_empty() && environment.filter.is_none() => {
                tests.push(broken(format!("it ran no test, see {}", log.display())));
            }
            Ok(_) => {}
        }
        tests
    }

    /// Whether the command ended with 0.
    fn execute(&self, environment: &Environment, xml: &Path, log: &Path) -> Result<bool> {
        std::fs::create_dir_all(xml)?;
        let output = File::create(log)?;
        let mut command = Command::new(self.folder.join("run"));
        command.args(&self.arguments).current_dir(&self.folder);
        command.env("NAMESRV_ADDR", &environment.namesrv).env("COMPAT_CLUSTER", &environment.cluster);
        command.env("COMPAT_REPORT_DIR", xml).env_remove("COMPAT_CONTROL").env_remove("COMPAT_FILTER");
        if let Some(control) = &environment.control {
            command.env("COMPAT_CONTROL", control);
        }
        if let Some(filter) = &environment.filter {
            command.env("COMPAT_FILTER", filter);
        }
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut child =
            command.spawn().with_context(|| format!("{} cannot be run", self.folder.join("run").display()))?;
        let pid = Started::Process(child.id().cast_signed());
        interrupt::remember(pid.clone());
        let deadline = Instant::now() + SUITE_TIMEOUT;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                interrupt::forget(&pid);
                anyhow::bail!("it did not end within {SUITE_TIMEOUT:?}, see {}", log.display());
            }
            std::thread::sleep(POLL);
        };
        interrupt::forget(&pid);
        Ok(status.success())
    }

    fn results(&self, folder: &Path) -> Result<Vec<Test>> {
        let mut tests = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "xml") {
                    let text = std::fs::read_to_string(&path)?;
                    tests.extend(self.parse(&text).with_context(|| path.display().to_string())?);
                }
            }
        }
        Ok(tests)
    }

    fn parse(&self, xml: &str) -> Result<Vec<Test>> {
        let document = roxmltree::Document::parse(xml)?;
        let cases = document.descendants().filter(|n| n.has_tag_name("testcase"));
        Ok(cases
            .map(|case| {
                let attribute = |name: &str| case.attribute(name).unwrap_or_default().to_owned();
                let child = |name: &str| case.children().find(|n| n.has_tag_name(name));
                let message = |n: roxmltree::Node<'_, '_>| match n.attribute("message") {
                    Some(message) if !message.is_empty() => message.to_owned(),
                    _ => n.text().unwrap_or_default().trim().to_owned(),
                };
                let outcome = if let Some(n) = child("failure").or_else(|| child("error")) {
                    Outcome::Failed { message: message(n), detail: n.text().unwrap_or_default().to_owned() }
                } else if let Some(n) = child("skipped") {
                    Outcome::Skipped(message(n))
                } else {
                    Outcome::Passed(None)
                };
                let seconds = attribute("time").replace(',', "").parse::<f64>().unwrap_or(0.0);
                Test {
                    suite: self.name.clone(),
                    class: attribute("classname"),
                    name: attribute("name"),
                    time: Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO),
                    outcome,
                }
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn suite(folder: &Path, script: &str) -> Suite {
        let run = folder.join("run");
        std::fs::write(&run, format!("#!/bin/sh\n{script}\n")).expect("write");
        std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        Suite { name: "s".to_owned(), folder: folder.to_owned(), arguments: vec!["5.5.0".to_owned()] }
    }

    fn run(script: &str) -> Vec<Test> {
        let folder = tempfile::tempdir().expect("temporary folder");
        let environment =
            Environment { namesrv: "h:1".to_owned(), cluster: "c".to_owned(), control: None, filter: None };
        suite(folder.path(), script).run(&environment, &folder.path().join("xml"), &folder.path().join("log"))
    }

    #[test]
    fn the_xml_tells_the_outcomes() {
        let tests = run(r#"cat > $COMPAT_REPORT_DIR/a.xml <<X
<testsuites><testsuite name="n"><testcase classname="C$1" name="good" time="1.5"/>
<testcase classname="C" name="bad"><failure message="why">trace</failure></testcase>
<testcase classname="C" name="not"><skipped>no control</skipped></testcase></testsuite></testsuites>
X
exit 1"#);
        let outcomes: Vec<_> = tests.iter().map(|t| (t.class.as_str(), t.name.as_str(), t.outcome.clone())).collect();
        assert_eq!(
            outcomes,
            [
                ("C5.5.0", "good", Outcome::Passed(None)),
                ("C", "bad", Outcome::Failed { message: "why".to_owned(), detail: "trace".to_owned() }),
                ("C", "not", Outcome::Skipped("no control".to_owned())),
            ]
        );
        assert_eq!(tests[0].time, Duration::from_millis(1500));
    }

    #[test]
    fn an_error_without_a_failed_test_is_a_failure() {
        let good = r#"echo '<testsuite><testcase classname="C" name="t"/></testsuite>' > $COMPAT_REPORT_DIR/a.xml"#;
        assert_eq!(run(good).len(), 1);
        let tests = run(&format!("{good}; exit 3"));
        assert!(matches!(&tests[1].outcome, Outcome::Failed { message, .. } if message.contains("no failed test")));
    }

    #[test]
    fn no_tests_at_all_is_a_failure() {
        let tests = run("exit 0");
        assert!(matches!(&tests[0].outcome, Outcome::Failed { message, .. } if message.contains("no test")));
    }
}
