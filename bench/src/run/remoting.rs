//! The few requests that the runner itself makes: is the server there, make a topic, how many messages are in it.
//!
//! Blocking and slow on purpose: nothing of this is measured but the time until the first answer after a start.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::children::Running;

/// For connect, and for each read. Java may take seconds to create thousands of queues.
const TIMEOUT: Duration = Duration::from_secs(60);
/// While a server starts, a connection that gets no answer in this time is given up and tried again.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between attempts to reach a server that starts: the resolution of start-up times.
const PROBE_PAUSE: Duration = Duration::from_millis(1);
/// Pause between questions for a route.
const ROUTE_PAUSE: Duration = Duration::from_millis(50);
/// An answer larger than this is none to what is asked here.
const FRAME_BYTES_MAX: u32 = 64 << 20;
/// Requests that are written before their answers are read.
const PIPELINE: usize = 256;

const PULL_MESSAGE: i32 = 11;
const UPDATE_AND_CREATE_TOPIC: i32 = 17;
const GET_MAX_OFFSET: i32 = 30;
const GET_ALL_TOPIC_LIST_FROM_NAME_SERVER: i32 = 206;
const GET_ROUTE_INFO_BY_TOPIC: i32 = 105;
const SUCCESS: i64 = 0;

/// A connection.
pub struct Client {
    stream: TcpStream,
}

impl Client {
    /// # Errors
    /// When nobody listens.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        Self::connect_within(address, TIMEOUT)
    }

    fn connect_within(address: SocketAddr, timeout: Duration) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    fn write(&mut self, code: i32, fields: &Value) -> Result<()> {
        let header = serde_json::to_vec(&json!({
            "code": code, "language": "JAVA", "version": 513, "opaque": 1, "flag": 0, "extFields": fields,
            "serializeTypeCurrentRPC": "JSON",
        }))?;
        let length = u32::try_from(header.len())?;
        let mut frame = Vec::with_capacity(header.len() + 8);
        frame.extend_from_slice(&(length + 4).to_be_bytes());
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&header);
        Ok(self.stream.write_all(&frame)?)
    }

    /// The header of the next answer; its body is dropped.
    fn read(&mut self) -> Result<Value> {
        let mut word = [0; 4];
        self.stream.read_exact(&mut word)?;
        let total = u32::from_be_bytes(word);
        ensure!((4..=FRAME_BYTES_MAX).contains(&total), "an answer of {total} bytes");
        let mut frame = vec![0; total as usize];
        self.stream.read_exact(&mut frame)?;
        let (word, rest) = frame.split_at(4);
        // The upper byte is the serialization; a JSON request gets a JSON answer.
        let length = u32::from_be_bytes([0, word[1], word[2], word[3]]) as usize;
        let header = rest.get(..length).context("an answer whose header is longer than itself")?;
        Ok(serde_json::from_slice(header)?)
    }

    fn ask(&mut self, code: i32, fields: &Value) -> Result<Value> {
        self.write(code, fields)?;
        self.read()
    }

    /// Creates or changes a topic.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn create_topic(&mut self, topic: &str, queues: u32) -> Result<()> {
        let answer = self.ask(
            UPDATE_AND_CREATE_TOPIC,
            &json!({
                "topic": topic, "defaultTopic": "TBW102", "readQueueNums": queues.to_string(),
                "writeQueueNums": queues.to_string(), "perm": "6", "topicFilterType": "SINGLE_TAG",
                "topicSysFlag": "0", "order": "false",
            }),
        )?;
        ensure!(answer["code"].as_i64() == Some(SUCCESS), "topic {topic} is not created: {answer}");
        Ok(())
    }

    /// Waits until a name server knows `topic`, at most for `limit`.
    ///
    /// # Errors
    /// When it does not.
    pub fn await_route(&mut self, topic: &str, limit: Duration) -> Result<()> {
        let begin = Instant::now();
        while self.ask(GET_ROUTE_INFO_BY_TOPIC, &json!({ "topic": topic }))?["code"].as_i64() != Some(SUCCESS) {
            ensure!(begin.elapsed() < limit, "the name server has no route for {topic} after {limit:?}");
            std::thread::sleep(ROUTE_PAUSE);
        }
        Ok(())
    }

    /// The maximum offset of each of the first `queues` queues.
    ///
    /// # Errors
    /// When the broker does not tell one.
    pub fn max_offsets(&mut self, topic: &str, queues: u32) -> Result<Vec<u64>> {
        let ids: Vec<u32> = (0..queues).collect();
        let mut offsets = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(PIPELINE) {
            for queue in chunk {
                self.write(GET_MAX_OFFSET, &json!({ "topic": topic, "queueId": queue.to_string() }))?;
            }
            for _ in chunk {
                let answer = self.read()?;
                let offset = &answer["extFields"]["offset"];
                let offset = offset.as_str().and_then(|text| text.parse().ok()).or(offset.as_u64());
                offsets.push(offset.with_context(|| format!("no maximum offset of {topic}: {answer}"))?);
            }
        }
        Ok(offsets)
    }

    /// A pull that does not wait, from offset 0 of queue 0; any answer will do.
    fn pull(&mut self, topic: &str) -> Result<()> {
        self.ask(
            PULL_MESSAGE,
            &json!({
                "consumerGroup": "bench-probe", "topic": topic, "queueId": "0", "queueOffset": "0", "maxMsgNums": "1",
                "sysFlag": "4", "commitOffset": "0", "suspendTimeoutMillis": "0", "subVersion": "0",
                "subscription": "*", "expressionType": "TAG",
            }),
        )?;
        Ok(())
    }
}

/// What a server must answer to count as started.
#[derive(Clone, Copy, Debug)]
pub enum Probe<'a> {
    /// A broker: a pull of this topic, which need not exist.
    Pull(&'a str),
    /// A name server: the list of topics.
    Topics,
}

/// Waits until `server` answers at `address`; the time since its start.
///
/// # Errors
/// When it ends, or does not answer within `limit` of its start.
pub fn await_answer(server: &mut Running, address: SocketAddr, probe: Probe<'_>, limit: Duration) -> Result<Duration> {
    let answers = || -> Result<()> {
        let mut client = Client::connect_within(address, PROBE_TIMEOUT)?;
        match probe {
            Probe::Pull(topic) => client.pull(topic),
            Probe::Topics => client.ask(GET_ALL_TOPIC_LIST_FROM_NAME_SERVER, &json!({})).map(drop),
        }
    };
    loop {
        if answers().is_ok() {
            return Ok(server.started.elapsed());
        }
        if let Some(status) = server.ended()? {
            bail!("it ended with {status}");
        }
        if server.started.elapsed() > limit {
            bail!("no answer from {address} after {limit:?}");
        }
        std::thread::sleep(PROBE_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers each request on one connection with `fields`.
    fn server(fields: Value, requests: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            for _ in 0..requests {
                let mut word = [0; 4];
                stream.read_exact(&mut word).expect("a frame");
                let mut frame = vec![0; u32::from_be_bytes(word) as usize];
                stream.read_exact(&mut frame).expect("a whole frame");
                let header = json!({"code": 0, "opaque": 1, "extFields": fields}).to_string();
                let length = u32::try_from(header.len()).expect("short");
                stream.write_all(&(length + 4).to_be_bytes()).expect("written");
                stream.write_all(&length.to_be_bytes()).expect("written");
                stream.write_all(header.as_bytes()).expect("written");
            }
        });
        address
    }

    #[test]
    fn offsets_are_summed_over_more_than_a_pipeline() {
        let mut client = Client::connect(server(json!({"offset": "3"}), 300)).expect("it listens");
        let offsets = client.max_offsets("T", 300).expect("it answers");
        assert_eq!(offsets, vec![3; 300]);
    }

    #[test]
    fn a_queue_without_offset_is_an_error() {
        let mut client = Client::connect(server(json!({}), 1)).expect("it listens");
        assert!(client.max_offsets("T", 1).is_err());
    }
}
