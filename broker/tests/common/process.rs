//! A broker in a process of its own, which can be killed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hypergol_remoting::client::NoRequests;
use hypergol_remoting::{Client, Limits, RemotingCommand};

use super::{TIMEOUT, free_port, send_header, send_with};

/// A broker in a process of its own.
pub struct Process {
    child: Child,
    client: Client,
    address: String,
}

impl Process {
    /// Starts one in a folder and waits until it serves.
    pub async fn start(folder: &Path, extra: &str) -> Self {
        let port = free_port();
        let conf = folder.join("broker.conf");
        let text = format!(
            "brokerName=broker-a\nbrokerIP1=127.0.0.1\nbindAddress=127.0.0.1\nlistenPort={port}\nstorePathRootDir={}\n\
             mappedFileSizeCommitLog=1048576\nmappedFileSizeConsumeQueue=20000\nmaxHashSlotNum=100\nmaxIndexNum=400\n\
             flushConsumerOffsetInterval=100\n{extra}",
            folder.join("store").display()
        );
        std::fs::write(&conf, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqbroker"));
        command.arg("-c").arg(&conf).env("ROCKETMQ_LOG_DIR", folder.join("logs")).env_remove("NAMESRV_ADDR");
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let client = Client::new(Arc::new(NoRequests), Limits::default());
        let started = Self { child, client, address: format!("127.0.0.1:{port}") };
        let deadline = Instant::now() + TIMEOUT;
        let probe = RemotingCommand::request(hypergol_remoting::RequestCode::GetAllDelayOffset);
        while started.client.invoke(&started.address, probe.clone(), TIMEOUT).await.is_err() {
            assert!(Instant::now() < deadline, "the broker does not serve");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        started
    }

    /// Answers of the broker.
    pub async fn call(&self, request: RemotingCommand) -> RemotingCommand {
        self.client.invoke(&self.address, request, TIMEOUT).await.unwrap()
    }

    /// Sends messages to queue 0 of the topic T.
    pub async fn send(&self, bodies: &[String]) {
        for body in bodies {
            let answer = self.call(send_with(&send_header("T", ""), body.clone().into_bytes())).await;
            assert_eq!(answer.code, 0, "{answer:?}");
        }
    }

    /// Ends it at once, as a crash does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
