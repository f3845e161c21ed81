//! The few requests around a run: create a topic, how many messages are there, heartbeats. Blocking, nothing measured.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::BytesMut;
use hypergol_remoting::protocol::codec;
use hypergol_remoting::protocol::header::topic::CreateTopicRequestHeader;
use hypergol_remoting::{RemotingCommand, RequestCode};

use super::flags::Target;
use super::links::resolve;

/// For connect, and for each answer. Java may take seconds to create a topic of many queues.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Requests written before their answers are read.
const PIPELINE: usize = 256;
/// A topic that does not grow for so long grows no more.
pub const STILL: Duration = Duration::from_secs(2);
/// Between two looks at a topic.
const LOOK_PERIOD: Duration = Duration::from_millis(50);
/// Read and write for all.
const PERM_READ_WRITE: i32 = 6;

/// A connection for requests one after the other.
pub struct Control {
    stream: TcpStream,
    input: BytesMut,
}

impl Control {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens at `server`, HOST:PORT.
    pub fn connect(server: &str) -> Result<Self> {
        Self::connect_within(server, TIMEOUT)
    }

    /// The same with another limit, for connecting and for each answer.
    ///
    /// # Errors
    /// When nobody listens at `server`, HOST:PORT.
    pub fn connect_within(server: &str, timeout: Duration) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&resolve(server)?, timeout).with_context(|| server.to_owned())?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: BytesMut::new() })
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// When none comes.
    pub fn ask(&mut self, request: &RemotingCommand) -> Result<RemotingCommand> {
        self.stream.write_all(&request.to_frame())?;
        self.answer()
    }

    fn answer(&mut self) -> Result<RemotingCommand> {
        loop {
            while let Some(frame) = codec::cut_frame(&mut self.input)? {
                let command = codec::decode(frame)?;
                if command.is_response() {
                    return Ok(command);
                }
            }
            let mut chunk = [0; 16 << 10];
            let length = self.stream.read(&mut chunk).context("no answer")?;
            ensure!(length > 0, "the server closed the connection");
            self.input.extend_from_slice(&chunk[..length]);
        }
    }

    /// Creates a topic, or gives it this many queues, when the flags say so.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn prepare(&mut self, target: &Target) -> Result<()> {
        if target.create_topic { self.create_topic(&target.topic, target.queues) } else { Ok(()) }
    }

    /// Creates a topic, or gives it this many queues.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn create_topic(&mut self, topic: &str, queues: u32) -> Result<()> {
        let queues = i32::try_from(queues)?;
        let header = CreateTopicRequestHeader {
            topic: topic.to_owned(),
            default_topic: Some("TBW102".to_owned()),
            read_queue_nums: queues,
            write_queue_nums: queues,
            perm: PERM_READ_WRITE,
            topic_filter_type: "SINGLE_TAG".to_owned(),
            topic_sys_flag: 0,
            order: false,
            attributes: None,
            force: false,
        };
        let answer = self.ask(&RemotingCommand::request_with(RequestCode::UpdateAndCreateTopic, &header))?;
        ensure!(answer.code == 0, "topic {topic} is not created: {} {:?}", answer.code, answer.remark);
        Ok(())
    }

    /// The maximum offset of each queue.
    ///
    /// # Errors
    /// When the broker does not tell one.
    pub fn max_offsets(&mut self, topic: &str, queues: u32) -> Result<Vec<u64>> {
        let ids: Vec<u32> = (0..queues).collect();
        let mut offsets = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(PIPELINE) {
            let mut frames = Vec::new();
            for queue in chunk {
                let mut request = RemotingCommand::request(RequestCode::GetMaxOffset)
                    .with_field("topic", topic)
                    .with_field("queueId", &queue.to_string());
                request.opaque = *queue as i32;
                frames.extend_from_slice(&request.to_frame());
            }
            self.stream.write_all(&frames)?;
            let first = offsets.len();
            offsets.resize(first + chunk.len(), 0);
            for _ in chunk {
                let answer = self.answer()?;
                let offset = answer.fields.get("offset").and_then(|text| text.parse().ok());
                let place = usize::try_from(answer.opaque).ok().and_then(|queue| offsets.get_mut(queue));
                let (Some(offset), Some(place)) = (offset, place) else {
                    anyhow::bail!("no maximum offset of {topic}: {} {:?}", answer.code, answer.remark);
                };
                *place = offset;
            }
        }
        Ok(offsets)
    }

    /// The maximum offsets once a topic has grown by `expected` messages since `before`, or has not grown for `still`.
    /// Java acknowledges a message before its queue has it.
    ///
    /// # Errors
    /// When the broker does not tell an offset.
    pub fn await_growth(
        &mut self,
        target: &Target,
        before: &[u64],
        expected: u64,
        still: Duration,
    ) -> Result<Vec<u64>> {
        let mut most = 0;
        let mut since = Instant::now();
        loop {
            let after = self.max_offsets(&target.topic, target.queues)?;
            let growth = growth_of(before, &after);
            if growth > most {
                (most, since) = (growth, Instant::now());
            }
            if most >= expected || since.elapsed() > still {
                return Ok(after);
            }
            std::thread::sleep(LOOK_PERIOD);
        }
    }
}

/// Messages between two looks at a topic.
pub fn growth_of(before: &[u64], after: &[u64]) -> u64 {
    after.iter().sum::<u64>().saturating_sub(before.iter().sum())
}
