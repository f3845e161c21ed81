//! The control socket: a suite asks for kill, stop, start of a server. The commands are in `README.md`.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, Weak};

use anyhow::{Context, Result, bail};

use crate::cluster::Cluster;

/// A command is shorter than this, its configuration value included.
const LINE_BYTES_MAX: u64 = 4096;

/// Serves a cluster's control socket as long as the cluster lives; returns its address.
///
/// # Errors
/// When loopback has no free port.
pub fn serve(cluster: &Arc<Mutex<Cluster>>) -> Result<SocketAddr> {
    // Weak: the cluster ends its servers when its owner drops it.
    let cluster = Arc::downgrade(cluster);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            let cluster = Weak::clone(&cluster);
            std::thread::spawn(move || {
                // A suite that goes away in the middle of a command is no concern of the cluster.
                let _ = converse(&stream, &cluster);
            });
        }
    })?;
    Ok(address)
}

fn converse(stream: &TcpStream, cluster: &Weak<Mutex<Cluster>>) -> Result<()> {
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if std::io::Read::take(&mut lines, LINE_BYTES_MAX).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let Some(cluster) = cluster.upgrade() else {
            return Ok(());
        };
        let answer = match command(line.trim(), &cluster) {
            Ok(text) if text.is_empty() => "ok".to_owned(),
            Ok(text) => format!("ok {text}"),
            Err(e) => format!("error {}", format!("{e:#}").replace('\n', " ")),
        };
        let mut stream = stream;
        stream.write_all(format!("{answer}\n").as_bytes())?;
    }
}

fn command(line: &str, cluster: &Mutex<Cluster>) -> Result<String> {
    let mut cluster = cluster.lock().map_err(|_| anyhow::anyhow!("an earlier command panicked"))?;
    let mut words = line.splitn(3, ' ');
    let verb = words.next().unwrap_or_default();
    if verb == "list" {
        return Ok(cluster.names().join(" "));
    }
    let name = words.next().context("which server?")?;
    match verb {
        "kill" => cluster.kill_server(name)?,
        "stop" => cluster.stop_server(name)?,
        "start" => cluster.start_server(name)?,
        "restart" => {
            cluster.stop_server(name)?;
            cluster.start_server(name)?;
        }
        "set" => {
            let (key, value) = words.next().and_then(|w| w.split_once('=')).context("set NAME key=value")?;
            cluster.configure(name, key, value)?;
        }
        _ => bail!("unknown command {verb:?}"),
    }
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::cluster::{NAMESRV, Server};

    /// Writes down what is done to it.
    struct Recorder {
        folder: tempfile::TempDir,
        done: Arc<Mutex<Vec<&'static str>>>,
    }

    impl Recorder {
        fn note(&self, what: &'static str) -> Result<()> {
            self.done.lock().expect("no panic").push(what);
            Ok(())
        }
    }

    impl Server for Recorder {
        fn start(&mut self, _: Duration) -> Result<()> {
            self.note("start")
        }
        fn kill(&mut self) -> Result<()> {
            self.note("kill")
        }
        fn stop(&mut self, _: Duration) -> Result<()> {
            self.note("stop")?;
            bail!("it did\nnot end")
        }
        fn folder(&self) -> &Path {
            self.folder.path()
        }
        fn save_logs(&mut self) {}
    }

    #[test]
    fn one_answer_a_command() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = crate::cluster::config::file_in(folder.path());
        std::fs::write(&file, "a=1").expect("write");
        let done = Arc::default();
        let server = Recorder { folder, done: Arc::clone(&done) };
        let cluster = Arc::new(Mutex::new(Cluster::of_namesrv(Box::new(server))));
        let mut stream = TcpStream::connect(serve(&cluster).expect("serves")).expect("connects");
        let mut answers = BufReader::new(stream.try_clone().expect("clone")).lines();
        let mut ask = |command: &str| {
            stream.write_all(format!("{command}\n").as_bytes()).expect("writes");
            answers.next().expect("an answer").expect("reads")
        };
        assert_eq!(ask("list"), format!("ok {NAMESRV}"));
        assert_eq!(ask("kill namesrv"), "ok");
        assert_eq!(ask("start namesrv"), "ok");
        assert_eq!(ask("restart namesrv"), "error it did not end");
        assert_eq!(ask("set namesrv b=2=3"), "ok");
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "a=1\nb=2=3\n");
        assert!(ask("kill broker-z").starts_with("error there is no server"));
        assert!(ask("dance namesrv").starts_with("error unknown command"));
        assert_eq!(*done.lock().expect("no panic"), ["kill", "start", "stop"]);
    }
}
