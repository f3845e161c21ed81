//! Which queues a client of a group consumes, and in which mode.

use std::collections::BTreeMap;

use super::heartbeat::{MessageModel, SubscriptionData};
use super::message_queue::MessageQueue;
use crate::{body, json_enum};

json_enum! {
    /// How a client requests messages of a queue.
    pub enum MessageRequestMode {
        Pull = "PULL",
        Pop = "POP",
    }
}

body! {
    /// Body of `QUERY_ASSIGNMENT`.
    #[derive(Eq)]
    pub struct QueryAssignmentRequestBody {
        /// Client that asks.
        "clientId" client_id: String,
        /// Group.
        "consumerGroup" consumer_group: String,
        /// Clustering or broadcasting.
        "messageModel" message_model: Option<MessageModel>,
        /// `AVG`, `AVG_BY_CIRCLE`, `CONSISTENT_HASH` and so on.
        "strategyName" strategy_name: Option<String>,
        /// Topic.
        "topic" topic: String,
    }

    /// Answer of `QUERY_ASSIGNMENT`; `{}` if the topic is not known or the group has no client.
    #[derive(Eq)]
    pub struct QueryAssignmentResponseBody {
        /// Queues of the client.
        "messageQueueAssignments" message_queue_assignments: Option<Vec<MessageQueueAssignment>>,
    }

    /// A queue assigned to a client.
    #[derive(Eq)]
    pub struct MessageQueueAssignment {
        /// Additions for later use.
        "attachments" attachments: Option<BTreeMap<String, String>>,
        /// Queue; id -1 means every queue of the broker, for pop.
        "messageQueue" message_queue: Option<MessageQueue>,
        /// Pull or pop.
        "mode" mode: MessageRequestMode,
    }

    /// Body of `SET_MESSAGE_REQUEST_MODE`.
    #[derive(Eq)]
    pub struct SetMessageRequestModeRequestBody {
        /// Group.
        "consumerGroup" consumer_group: String,
        /// Pull or pop.
        "mode" mode: MessageRequestMode,
        /// How many queues of others a pop client shares; 0 or less means all.
        "popShareQueueNum" pop_share_queue_num: i32,
        /// Topic.
        "topic" topic: String,
    }

    /// The file `messageRequestMode.json`.
    #[derive(Eq)]
    pub struct MessageRequestModeSerializeWrapper {
        /// Topic to group to mode.
        "messageRequestModeMap" message_request_mode_map:
            BTreeMap<String, BTreeMap<String, SetMessageRequestModeRequestBody>>,
    }

    /// Body of `CHECK_CLIENT_CONFIG`.
    #[derive(Eq)]
    pub struct CheckClientRequestBody {
        /// Client.
        "clientId" client_id: String,
        /// Group.
        "group" group: String,
        /// Namespace of the client.
        "namespace" namespace: Option<String>,
        /// Subscription to check.
        "subscriptionData" subscription_data: Option<SubscriptionData>,
    }

    /// Answer of `QUERY_SUBSCRIPTION_BY_CONSUMER`.
    #[derive(Eq)]
    pub struct QuerySubscriptionResponseBody {
        /// Group.
        "group" group: String,
        /// Subscription; null if there is none.
        "subscriptionData" subscription_data: Option<SubscriptionData>,
        /// Topic.
        "topic" topic: String,
    }
}
