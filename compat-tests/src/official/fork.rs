//! One virtual machine that runs official test classes, and the conversation with it.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use super::table::PACKAGE;
use crate::cluster::process::JAVA_OPENS;
use crate::interrupt::{self, Started};
use crate::suite::Environment;

/// How long after SIGQUIT a virtual machine has written its stacks.
const STACKS_TIME: Duration = Duration::from_secs(2);

/// How one method ended, as JUnit sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// None: what happened to the class as a whole.
    pub method: Option<String>,
    /// How.
    pub status: Status,
    /// How long it ran.
    pub time: Duration,
    /// One line, and the stack trace.
    pub message: String,
    /// May be empty.
    pub trace: String,
}

/// See [`Ended`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Status {
    Pass,
    Fail,
    Skip,
}

/// One line of the virtual machine; the shape is in RunOfficial.java.
#[derive(Debug, Deserialize)]
struct Event {
    event: String,
    method: Option<String>,
    status: Option<Status>,
    #[serde(default)]
    millis: u64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    trace: String,
}

/// Which methods of a class to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// Without the package.
    pub class: String,
    /// Methods.
    pub methods: Vec<String>,
    /// No event for so long means that the virtual machine hangs.
    pub silence: Duration,
}

/// A virtual machine, started when it is first needed and again after it was killed.
pub struct Fork {
    class_path: String,
    environment: Environment,
    folder: PathBuf,
    machine: Option<Machine>,
}

struct Machine {
    child: Child,
    stdin: ChildStdin,
    events: Receiver<Event>,
}

impl Fork {
    /// `folder` takes the log and the home folder of the virtual machine.
    pub fn new(class_path: String, environment: Environment, folder: &Path) -> Self {
        Self { class_path, environment, folder: folder.to_owned(), machine: None }
    }

    /// Runs one class. What goes wrong with the virtual machine is a failure of the running method.
    pub fn run(&mut self, job: &Job) -> Vec<Ended> {
        let mut ended = Vec::new();
        if let Err(e) = self.converse(job, &mut ended) {
            self.kill();
            ended.push(Ended {
                method: None,
                status: Status::Fail,
                time: Duration::ZERO,
                message: format!("{e:#}"),
                trace: String::new(),
            });
        }
        ended
    }

    fn converse(&mut self, job: &Job, ended: &mut Vec<Ended>) -> Result<()> {
        if self.machine.is_none() {
            self.machine = Some(self.start()?);
        }
        let machine = self.machine.as_mut().context("just started")?;
        let mut line = format!("{PACKAGE}{}", job.class);
        for method in &job.methods {
            line.push_str(" +");
            line.push_str(method);
        }
        line.push('\n');
        machine.stdin.write_all(line.as_bytes())?;
        machine.stdin.flush()?;
        let mut running = None;
        loop {
            let event = match machine.events.recv_timeout(job.silence) {
                Ok(event) => event,
                Err(e) => {
                    let message = match e {
                        RecvTimeoutError::Timeout => {
                            write_stacks(&machine.child);
                            format!("nothing happened for {:?}; stacks are in {}", job.silence, self.log().display())
                        }
                        RecvTimeoutError::Disconnected => {
                            format!("the virtual machine ended, see {}", self.log().display())
                        }
                    };
                    ended.push(Ended {
                        method: running,
                        status: Status::Fail,
                        time: job.silence,
                        message,
                        trace: String::new(),
                    });
                    self.kill();
                    return Ok(());
                }
            };
            match (event.event.as_str(), event.status) {
                ("start", _) => running = event.method,
                ("end", Some(status)) => ended.push(Ended {
                    method: event.method,
                    status,
                    time: Duration::from_millis(event.millis),
                    message: event.message,
                    trace: event.trace,
                }),
                ("done", _) => return Ok(()),
                _ => {}
            }
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.join("tests.log")
    }

    fn start(&self) -> Result<Machine> {
        std::fs::create_dir_all(&self.folder)?;
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = Command::new("java");
        command.args(["-Xmx1g", "-XX:+UseSerialGC"]).args(JAVA_OPENS);
        command.arg(format!("-Duser.home={}", self.folder.display()));
        command.args(["-cp", &self.class_path, "hypergol.compat.RunOfficial"]).current_dir(&self.folder);
        command.env("NAMESRV_ADDR", &self.environment.namesrv).env_remove("COMPAT_CONTROL");
        if let Some(control) = &self.environment.control {
            command.env("COMPAT_CONTROL", control);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().context("java cannot be run")?;
        interrupt::remember(Started::Process(child.id().cast_signed()));
        let stdin = child.stdin.take().context("stdin is piped")?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Whatever else a library prints before RunOfficial takes standard output away.
                let Ok(event) = serde_json::from_str(&line) else {
                    continue;
                };
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Machine { child, stdin, events })
    }

    /// Ends the virtual machine; the next class gets a new one.
    pub fn kill(&mut self) {
        if let Some(mut machine) = self.machine.take() {
            let _ = machine.child.kill();
            let _ = machine.child.wait();
            interrupt::forget(&Started::Process(machine.child.id().cast_signed()));
        }
    }
}

impl Drop for Fork {
    fn drop(&mut self) {
        self.kill();
    }
}

fn write_stacks(child: &Child) {
    if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
        let _ = kill_process(pid, Signal::QUIT);
        std::thread::sleep(STACKS_TIME);
    }
}
