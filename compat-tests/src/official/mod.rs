//! RocketMQ's own integration tests: which of them run, in how many virtual machines, and whether they did as expected.

pub mod fork;
pub mod table;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};

use crate::report::{Outcome, Test};
use fork::{Ended, Fork, Job, Status};
use table::{Expected, Row, Set, WHOLE_CLASS};

/// Name of this suite in the report.
pub const SUITE: &str = "official";
/// The official tests wait up to two minutes for a message, some of them twice.
const SILENCE_MIN: Duration = Duration::from_secs(300);

/// What to run and what to expect.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The table.
    pub rows: Vec<Row>,
    /// Expect what Java's servers do, not what ours do.
    pub as_java: bool,
    /// `Full` includes the slow tests.
    pub set: Set,
    /// Only tests whose `class#method` contains this.
    pub filter: Option<String>,
    /// Also run what is known to fail.
    pub known_failing: bool,
}

impl Plan {
    fn expected(&self, row: &Row) -> Expected {
        if self.as_java { row.java } else { row.ours }
    }

    fn selects(&self, row: &Row) -> bool {
        row.set <= self.set && self.filter.as_ref().is_none_or(|f| format!("{}#{}", row.class, row.method).contains(f))
    }

    fn runs(&self, row: &Row) -> bool {
        let wanted = match self.expected(row) {
            Expected::Pass => true,
            Expected::Fail => self.known_failing,
            Expected::Skip | Expected::NotApplicable => false,
        };
        wanted && self.selects(row)
    }

    /// One job a class, the longest first: the forks then end at about the same time.
    pub fn jobs(&self) -> Vec<Job> {
        let mut classes: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        self.rows.iter().filter(|r| self.runs(r)).for_each(|r| classes.entry(&r.class).or_default().push(r));
        let mut jobs: Vec<(f32, Job)> = classes
            .into_iter()
            .map(|(class, rows)| {
                let longest = rows.iter().map(|r| r.seconds).fold(0.0, f32::max);
                let job = Job {
                    class: class.to_owned(),
                    methods: rows.iter().map(|r| r.method.clone()).collect(),
                    silence: SILENCE_MIN + Duration::from_secs_f32(3.0 * longest),
                };
                (rows.iter().map(|r| r.seconds).sum(), job)
            })
            .collect();
        jobs.sort_by(|a, b| b.0.total_cmp(&a.0));
        jobs.into_iter().map(|(_, job)| job).collect()
    }

    /// The tests of the selection that do not run, with the reason.
    pub fn not_run(&self) -> Vec<Test> {
        let selected = |r: &&Row| self.filter.as_ref().is_none_or(|f| format!("{}#{}", r.class, r.method).contains(f));
        let rows = self.rows.iter().filter(selected).filter(|r| !self.runs(r));
        rows.map(|row| {
            let outcome = match self.expected(row) {
                Expected::NotApplicable => Outcome::NotApplicable(row.why.clone()),
                Expected::Skip => Outcome::Skipped("the test skips itself".to_owned()),
                Expected::Fail => Outcome::KnownFailure(row.why.clone()),
                Expected::Pass => Outcome::Skipped("slow, runs with --set full".to_owned()),
            };
            test(&row.class, &row.method, Duration::ZERO, outcome)
        })
        .collect()
    }

    /// Runs one class, failed methods a second time, and compares with the table.
    fn run(&self, fork: &mut Fork, job: &Job) -> Vec<Test> {
        let first = by_method(job, fork.run(job));
        let again: Vec<String> = first
            .iter()
            .filter(|(method, ended)| ended.status == Status::Fail && self.is_expected_pass(&job.class, method))
            .map(|(method, _)| method.clone())
            .collect();
        let mut second = BTreeMap::new();
        if !again.is_empty() {
            // Clients that the failed test left behind, and classes that failed to initialize, go with the old one.
            fork.kill();
            let job = Job { methods: again, ..job.clone() };
            second = by_method(&job, fork.run(&job));
        }
        first
            .into_iter()
            .map(|(method, ended)| {
                let outcome = match second.remove(&method) {
                    Some(Ended { status: Status::Pass, .. }) => {
                        Outcome::Passed(Some(format!("passed at the second attempt, the first: {}", ended.message)))
                    }
                    Some(retried) if retried.message != ended.message => {
                        let message = format!("{} (the first time: {})", retried.message, ended.message);
                        self.judge(&job.class, &method, &Ended { message, ..retried })
                    }
                    Some(retried) => self.judge(&job.class, &method, &retried),
                    None => self.judge(&job.class, &method, &ended),
                };
                test(&job.class, &method, ended.time, outcome)
            })
            .collect()
    }

    fn row(&self, class: &str, method: &str) -> Option<&Row> {
        self.rows.iter().find(|r| r.class == class && (r.method == method || r.method == WHOLE_CLASS))
    }

    fn is_expected_pass(&self, class: &str, method: &str) -> bool {
        self.row(class, method).is_none_or(|r| self.expected(r) == Expected::Pass)
    }

    fn judge(&self, class: &str, method: &str, ended: &Ended) -> Outcome {
        let known = !self.is_expected_pass(class, method);
        match ended.status {
            Status::Pass if known => Outcome::Passed(Some("the table says that it fails: change that row".to_owned())),
            Status::Pass => Outcome::Passed(None),
            Status::Fail if known => {
                let why = self.row(class, method).map_or("", |r| &r.why);
                Outcome::KnownFailure(why.to_owned())
            }
            Status::Fail => Outcome::Failed { message: ended.message.clone(), detail: ended.trace.clone() },
            Status::Skip => Outcome::Skipped(ended.message.clone()),
        }
    }
}

fn test(class: &str, method: &str, time: Duration, outcome: Outcome) -> Test {
    Test { suite: SUITE.to_owned(), class: class.to_owned(), name: method.to_owned(), time, outcome }
}

/// A result for every method of the job: those without one of their own share the fate of the class.
fn by_method(job: &Job, ended: Vec<Ended>) -> BTreeMap<String, Ended> {
    let of_class = ended.iter().find(|e| e.method.is_none()).cloned().unwrap_or_else(|| Ended {
        method: None,
        status: Status::Fail,
        time: Duration::ZERO,
        message: "it did not run".to_owned(),
        trace: String::new(),
    });
    let mut results: BTreeMap<String, Ended> =
        ended.into_iter().filter_map(|e| e.method.clone().map(|method| (method, e))).collect();
    for method in job.methods.iter().filter(|m| *m != WHOLE_CLASS) {
        results.entry(method.clone()).or_insert_with(|| of_class.clone());
    }
    results
}

/// Runs the jobs in all forks at once and tells the progress on standard error.
pub fn run(plan: &Plan, forks: &mut [Fork]) -> Vec<Test> {
    let jobs = plan.jobs();
    let total = jobs.len();
    let queue = Mutex::new(VecDeque::from(jobs));
    let done = Mutex::new(Vec::new());
    let started = Instant::now();
    let next = || {
        let mut queue = queue.lock().ok()?;
        let job = queue.pop_front()?;
        Some((total - queue.len(), job))
    };
    std::thread::scope(|scope| {
        for (n, fork) in forks.iter_mut().enumerate() {
            let (next, done) = (&next, &done);
            scope.spawn(move || {
                while let Some((position, job)) = next() {
                    let tests = plan.run(fork, &job);
                    let failed = tests.iter().filter(|t| matches!(t.outcome, Outcome::Failed { .. })).count();
                    let seconds: f32 = tests.iter().map(|t| t.time.as_secs_f32()).sum();
                    eprintln!(
                        "[{:>5.0} s] fork {n}, {position}/{total}: {} {} tests, {failed} failed, {seconds:.1} s",
                        started.elapsed().as_secs_f32(),
                        job.class,
                        tests.len(),
                    );
                    if let Ok(mut done) = done.lock() {
                        done.extend(tests);
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_default()
}

/// Compiles our base classes and fetches the official tests when that has not been done yet; returns the class path,
/// which also holds the official servers.
///
/// # Errors
/// When Maven is not there or does not succeed.
pub fn build(folder: &Path) -> Result<String> {
    let target = folder.join("target");
    let class_path = target.join("classpath.txt");
    if newest(&[folder.join("pom.xml"), folder.join("src")]) >= newest(std::slice::from_ref(&class_path)) {
        eprintln!("compiling {}", folder.display());
        let status = Command::new("mvn")
            .args(["-q", "-B", "process-classes"])
            .current_dir(folder)
            .status()
            .context("mvn cannot be run (Debian: apt-get install maven default-jdk-headless)")?;
        ensure!(status.success(), "mvn process-classes in {} ended with {status}", folder.display());
    }
    let jars = std::fs::read_to_string(&class_path).with_context(|| class_path.display().to_string())?;
    Ok(format!("{}:{}:{}", target.join("classes").display(), target.join("official-tests").display(), jars.trim()))
}

/// The newest modification below these paths; the beginning of time when there is nothing.
fn newest(paths: &[PathBuf]) -> SystemTime {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut todo = paths.to_vec();
    while let Some(path) = todo.pop() {
        if let Ok(modified) = path.metadata().and_then(|m| m.modified()) {
            newest = newest.max(modified);
        }
        if let Ok(entries) = std::fs::read_dir(&path) {
            todo.extend(entries.flatten().map(|e| e.path()));
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(class: &str, method: &str, ours: Expected, seconds: f32, set: Set) -> Row {
        Row {
            class: class.to_owned(),
            method: method.to_owned(),
            ours,
            java: Expected::Pass,
            seconds,
            set,
            why: "because".to_owned(),
        }
    }

    fn plan() -> Plan {
        Plan {
            rows: vec![
                row("A", "a", Expected::Pass, 1.0, Set::Ci),
                row("A", "slow", Expected::Pass, 100.0, Set::Full),
                row("B", "b", Expected::Pass, 9.0, Set::Ci),
                row("B", "known", Expected::Fail, 1.0, Set::Ci),
                row("C", WHOLE_CLASS, Expected::NotApplicable, 0.0, Set::Full),
            ],
            as_java: false,
            set: Set::Ci,
            filter: None,
            known_failing: false,
        }
    }

    fn ended(method: Option<&str>, status: Status) -> Ended {
        Ended {
            method: method.map(str::to_owned),
            status,
            time: Duration::ZERO,
            message: "message".to_owned(),
            trace: String::new(),
        }
    }

    fn methods(plan: &Plan) -> Vec<(String, Vec<String>)> {
        plan.jobs().into_iter().map(|j| (j.class, j.methods)).collect()
    }

    fn job(class: &str, methods: &[&str]) -> (String, Vec<String>) {
        (class.to_owned(), methods.iter().map(|m| (*m).to_owned()).collect())
    }

    #[test]
    fn the_longest_class_is_first_and_the_slow_test_waits() {
        assert_eq!(methods(&plan()), [job("B", &["b"]), job("A", &["a"])]);
        let full = Plan { set: Set::Full, known_failing: true, ..plan() };
        assert_eq!(methods(&full), [job("A", &["a", "slow"]), job("B", &["b", "known"])]);
        let java = Plan { as_java: true, ..plan() };
        assert_eq!(methods(&java), [job("B", &["b", "known"]), job("A", &["a"])]);
    }

    #[test]
    fn everything_selected_and_not_run_has_a_reason() {
        let outcomes: Vec<_> = plan().not_run().into_iter().map(|t| (t.name, t.outcome)).collect();
        assert_eq!(
            outcomes,
            [
                ("slow".to_owned(), Outcome::Skipped("slow, runs with --set full".to_owned())),
                ("known".to_owned(), Outcome::KnownFailure("because".to_owned())),
                (WHOLE_CLASS.to_owned(), Outcome::NotApplicable("because".to_owned())),
            ]
        );
    }

    #[test]
    fn a_method_without_a_result_did_not_run() {
        let job = Job { class: "A".to_owned(), methods: vec!["a".to_owned(), "b".to_owned()], silence: SILENCE_MIN };
        let results = by_method(&job, vec![ended(Some("a"), Status::Pass)]);
        assert_eq!(results["b"].status, Status::Fail);
        let results = by_method(&job, vec![ended(None, Status::Skip)]);
        assert_eq!((results["a"].status, results["b"].status), (Status::Skip, Status::Skip));
    }

    #[test]
    fn a_known_failure_that_passes_is_a_remark() {
        let plan = plan();
        assert!(matches!(plan.judge("B", "known", &ended(None, Status::Fail)), Outcome::KnownFailure(_)));
        assert!(matches!(plan.judge("B", "known", &ended(None, Status::Pass)), Outcome::Passed(Some(_))));
        assert!(matches!(plan.judge("B", "b", &ended(None, Status::Fail)), Outcome::Failed { .. }));
        assert!(matches!(plan.judge("B", "new", &ended(None, Status::Fail)), Outcome::Failed { .. }));
    }
}
