//! Queue locks as orderly consumers hold them: asked for before the first pull, and renewed while it reads.

use anyhow::{Result, ensure};
use hypergol_remoting::protocol::body::lock::{LockBatchRequestBody, LockBatchResponseBody};
use hypergol_remoting::protocol::body::message_queue::MessageQueue;
use hypergol_remoting::protocol::command::SerializeType;
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::{RemotingCommand, RequestCode};

use super::answer::Answer;
use super::clock::SECOND;
use super::control::Control;
use super::links::Links;
use super::template::Template;

/// Opaque of requests for locks.
pub const LOCK_OPAQUE: u32 = 2_000_000_001;
/// Between two renewals: the official client's 20 s would hardly occur in a window.
const RENEWAL_PERIOD: u64 = SECOND;

/// The locks of a client on all queues of a topic.
pub struct Locks {
    renewal: Template,
    queues: usize,
    next: u64,
    /// Renewals that were granted for all queues.
    pub renewed: u64,
    /// Renewals that were not.
    pub refused: u64,
}

/// Asks for the locks of all queues of a topic.
pub fn request(client: &str, group: &str, topic: &str, broker: &str, queues: u32) -> Result<RemotingCommand> {
    let queue = |id| Ok(MessageQueue::new(topic, broker, i32::try_from(id)?));
    let body = LockBatchRequestBody {
        client_id: client.to_owned(),
        consumer_group: group.to_owned(),
        mq_set: (0..queues).map(queue).collect::<Result<_>>()?,
        only_this_broker: false,
    };
    Ok(RemotingCommand::request(RequestCode::LockBatchMq).with_body(body.encode()))
}

/// How many queues an answer grants.
fn granted(code: i32, body: &[u8]) -> Result<usize> {
    ensure!(code == 0, "locks are answered {code}");
    Ok(LockBatchResponseBody::decode(body)?.lock_ok_mq_set.len())
}

/// Asks for locks once; how many queues are granted.
///
/// # Errors
/// When the broker does not answer.
pub fn ask(control: &mut Control, request: &RemotingCommand) -> Result<usize> {
    let answer = control.ask(request)?;
    granted(answer.code, &answer.body)
}

impl Locks {
    /// Locks that [`ask`] got by `request`, to be renewed.
    ///
    /// # Errors
    /// When the request cannot be encoded.
    pub fn new(request: RemotingCommand, form: SerializeType, queues: u32, now: u64) -> Result<Self> {
        let renewal = Template::new(request, form)?;
        Ok(Self { renewal, queues: queues as usize, next: now + RENEWAL_PERIOD, renewed: 0, refused: 0 })
    }

    /// Renews them when it is time; returns when it is next.
    pub fn turn(&mut self, links: &mut Links, link: usize, now: u64) -> u64 {
        if now >= self.next {
            self.next = now + RENEWAL_PERIOD;
            self.renewal.append(links.output(link).always(), LOCK_OPAQUE);
        }
        self.next
    }

    /// Takes the answer to a renewal.
    ///
    /// # Errors
    /// When it is none.
    pub fn answer(&mut self, answer: &Answer<'_>) -> Result<()> {
        if granted(answer.code, answer.body)? == self.queues {
            self.renewed += 1
        } else {
            self.refused += 1
        }
        Ok(())
    }
}
