//! Queue locks of orderly consumers.

use super::message_queue::MessageQueue;
use crate::body;

body! {
    /// Body of `LOCK_BATCH_MQ`.
    #[derive(Eq)]
    pub struct LockBatchRequestBody {
        /// Client that wants the locks.
        "clientId" client_id: String,
        /// Group.
        "consumerGroup" consumer_group: String,
        /// Queues to lock.
        "mqSet" mq_set: Vec<MessageQueue>,
        /// Do not ask the other brokers of the set.
        "onlyThisBroker" only_this_broker: bool,
    }

    /// Answer of `LOCK_BATCH_MQ`.
    #[derive(Eq)]
    pub struct LockBatchResponseBody {
        /// Queues that the client holds now.
        "lockOKMQSet" lock_ok_mq_set: Vec<MessageQueue>,
    }

    /// Body of `UNLOCK_BATCH_MQ`.
    #[derive(Eq)]
    pub struct UnlockBatchRequestBody {
        /// Client that gives the locks back.
        "clientId" client_id: String,
        /// Group.
        "consumerGroup" consumer_group: String,
        /// Queues to unlock.
        "mqSet" mq_set: Vec<MessageQueue>,
        /// Do not tell the other brokers of the set.
        "onlyThisBroker" only_this_broker: bool,
    }
}
