//! What a consumer reports about itself. Brokers relay these bodies byte for byte; only tests and tools read them.

use std::collections::BTreeMap;

use super::heartbeat::SubscriptionData;
use super::message_queue::MessageQueue;
use crate::{body, json_enum};

json_enum! {
    /// Outcome of a message that was consumed on request.
    pub enum CMResult {
        Success = "CR_SUCCESS",
        Later = "CR_LATER",
        Rollback = "CR_ROLLBACK",
        Commit = "CR_COMMIT",
        ThrowException = "CR_THROW_EXCEPTION",
        ReturnNull = "CR_RETURN_NULL",
    }
}

body! {
    /// Answer of `GET_CONSUMER_RUNNING_INFO`.
    pub struct ConsumerRunningInfo {
        /// Stack dump, if asked for.
        "jstack" jstack: Option<String>,
        /// State of the queues popped from.
        "mqPopTable" mq_pop_table: BTreeMap<MessageQueue, PopProcessQueueInfo>,
        /// State of the queues pulled from.
        "mqTable" mq_table: BTreeMap<MessageQueue, ProcessQueueInfo>,
        /// Settings of the consumer.
        "properties" properties: BTreeMap<String, String>,
        /// Rates by topic.
        "statusTable" status_table: BTreeMap<String, ConsumeStatus>,
        /// Subscriptions.
        "subscriptionSet" subscription_set: Vec<SubscriptionData>,
        /// What the application adds.
        "userConsumerInfo" user_consumer_info: BTreeMap<String, String>,
    }

    /// State of a queue at a consumer that pulls.
    #[derive(Eq)]
    pub struct ProcessQueueInfo {
        /// Messages held.
        "cachedMsgCount" cached_msg_count: i32,
        /// Largest offset held.
        "cachedMsgMaxOffset" cached_msg_max_offset: i64,
        /// Smallest offset held.
        "cachedMsgMinOffset" cached_msg_min_offset: i64,
        /// Bytes held, in MiB.
        "cachedMsgSizeInMiB" cached_msg_size_in_mib: i32,
        /// Offset consumed.
        "commitOffset" commit_offset: i64,
        /// Whether the queue was given up; Java spells it so.
        "droped" droped: bool,
        /// Time of the last consumption, ms since 1970.
        "lastConsumeTimestamp" last_consume_timestamp: i64,
        /// Time of the last lock, ms since 1970.
        "lastLockTimestamp" last_lock_timestamp: i64,
        /// Time of the last pull, ms since 1970.
        "lastPullTimestamp" last_pull_timestamp: i64,
        /// Whether the queue is locked.
        "locked" locked: bool,
        /// Messages being consumed in order.
        "transactionMsgCount" transaction_msg_count: i32,
        /// Largest offset being consumed in order.
        "transactionMsgMaxOffset" transaction_msg_max_offset: i64,
        /// Smallest offset being consumed in order.
        "transactionMsgMinOffset" transaction_msg_min_offset: i64,
        /// Attempts to unlock.
        "tryUnlockTimes" try_unlock_times: i64,
    }

    /// State of a queue at a consumer that pops.
    #[derive(Eq)]
    pub struct PopProcessQueueInfo {
        /// Whether the queue was given up; Java spells it so.
        "droped" droped: bool,
        /// Time of the last pop, ms since 1970.
        "lastPopTimestamp" last_pop_timestamp: i64,
        /// Messages not yet acknowledged.
        "waitAckCount" wait_ack_count: i32,
    }

    /// Rates of a topic at a consumer.
    pub struct ConsumeStatus {
        /// Failed messages.
        "consumeFailedMsgs" consume_failed_msgs: i64,
        /// Failures per second.
        "consumeFailedTPS" consume_failed_tps: f64,
        /// Successes per second.
        "consumeOKTPS" consume_ok_tps: f64,
        /// Time to consume, ms.
        "consumeRT" consume_rt: f64,
        /// Time to pull, ms.
        "pullRT" pull_rt: f64,
        /// Pulls per second.
        "pullTPS" pull_tps: f64,
    }

    /// Answer of `CONSUME_MESSAGE_DIRECTLY`.
    #[derive(Eq)]
    pub struct ConsumeMessageDirectlyResult {
        /// Whether offsets are committed by the client.
        "autoCommit" auto_commit: bool = true,
        /// Outcome.
        "consumeResult" consume_result: Option<CMResult>,
        /// Whether the consumer keeps order.
        "order" order: bool,
        /// Text of an exception.
        "remark" remark: Option<String>,
        /// Time taken, ms.
        "spentTimeMills" spent_time_mills: i64,
    }
}
