//! A server with the broker's network layer that answers sends with success and stores nothing.
//!
//! What it reaches is the ceiling for a broker on this network layer, and shows how far the generator is from being the
//! bottleneck. It counts queue offsets, by queue id whatever the topic, so that the generator's checks hold.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use hypergol_remoting::message::{self, property};
use hypergol_remoting::protocol::header::send::SendMessageRequest;
use hypergol_remoting::{Handler, IoThreads, Limits, RemotingCommand, RequestCode, Responder, ResponseCode, Server};

/// Queues whose offsets are counted. 512 KiB.
const QUEUES_MAX: usize = 65_536;
/// As long as a real one.
const MESSAGE_ID: &str = "7F00000100002A9F0000000000000000";
/// Messages of one batch at most.
const BATCH_MESSAGES_MAX: usize = 65_536;

/// Serves until the process is ended.
///
/// # Errors
/// When the address cannot be listened on.
pub fn run(address: SocketAddr) -> Result<()> {
    let threads = IoThreads::start().context("cannot start the I/O threads")?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let handler = Arc::new(Null::new());
        let server = Server::bind_on(threads, address, handler, Limits::default())
            .with_context(|| format!("cannot listen on {address}"))?;
        println!("null server on {}", server.local_addr());
        std::future::pending::<()>().await;
        Ok(())
    })
}

struct Null {
    offsets: Vec<AtomicU64>,
}

impl Null {
    fn new() -> Self {
        Self { offsets: (0..QUEUES_MAX).map(|_| AtomicU64::new(0)).collect() }
    }

    fn offset(&self, queue: i32) -> Option<&AtomicU64> {
        usize::try_from(queue).ok().and_then(|queue| self.offsets.get(queue))
    }

    fn send(&self, code: RequestCode, request: &RemotingCommand) -> Option<RemotingCommand> {
        let header = SendMessageRequest::decode(code, &request.fields).ok()?;
        let offset = self.offset(header.queue_id)?.fetch_add(count(&header, request)?, Ordering::Relaxed);
        let mut answer = RemotingCommand::success();
        let fields = &mut answer.fields;
        fields.push_str("msgId", MESSAGE_ID);
        fields.push_int("queueId", header.queue_id.into());
        fields.push_int("queueOffset", offset as i64);
        if let Some(key) = header.properties.and_then(|text| message::find_property(text, property::UNIQ_KEY)) {
            fields.push_str("transactionId", key);
        }
        fields.push_str(property::MSG_REGION, "DefaultRegion");
        fields.push_str(property::TRACE_SWITCH, "true");
        Some(answer)
    }

    fn max_offset(&self, request: &RemotingCommand) -> Option<RemotingCommand> {
        let queue = request.fields.get("queueId")?.parse().ok()?;
        let offset = self.offset(queue)?.load(Ordering::Relaxed);
        Some(RemotingCommand::success().with_field("offset", &offset.to_string()))
    }
}

/// Messages of a request.
fn count(header: &SendMessageRequest<'_>, request: &RemotingCommand) -> Option<u64> {
    if !header.batch {
        return Some(1);
    }
    message::split_batch(&request.body, BATCH_MESSAGES_MAX).ok().map(|parts| parts.len() as u64)
}

impl Handler for Null {
    fn request(&self, request: RemotingCommand, responder: Responder) {
        let Ok(code) = RequestCode::try_from(request.code) else { return responder.unsupported() };
        let answer = match code {
            RequestCode::SendMessage | RequestCode::SendMessageV2 | RequestCode::SendBatchMessage => {
                self.send(code, &request)
            }
            RequestCode::GetMaxOffset => self.max_offset(&request),
            RequestCode::UpdateAndCreateTopic | RequestCode::HeartBeat => Some(RemotingCommand::success()),
            _ => return responder.unsupported(),
        };
        match answer {
            Some(answer) => responder.send(answer),
            None => responder.error(ResponseCode::SystemError, "the null server does not understand this request"),
        }
    }
}
