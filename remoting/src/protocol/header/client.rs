//! Clients: who is connected, and calls from the broker to them.

use crate::header;

header! {
    /// Request of `UNREGISTER_CLIENT`.
    pub struct UnregisterClientRequestHeader {
        /// Client id.
        pub client_id: String => "clientID",
        /// Producer group.
        pub producer_group: Option<String> => "producerGroup",
        /// Consumer group.
        pub consumer_group: Option<String> => "consumerGroup",
    }

    /// Request of `GET_CONSUMER_LIST_BY_GROUP`.
    pub struct GetConsumerListByGroupRequestHeader {
        /// Consumer group.
        pub consumer_group: String => "consumerGroup",
    }

    /// Request of `NOTIFY_CONSUMER_IDS_CHANGED`.
    pub struct NotifyConsumerIdsChangedRequestHeader {
        /// Consumer group.
        pub consumer_group: String => "consumerGroup",
    }

    /// Request of `GET_CONSUMER_CONNECTION_LIST`.
    pub struct GetConsumerConnectionListRequestHeader {
        /// Consumer group.
        pub consumer_group: String => "consumerGroup",
    }

    /// Request of `GET_PRODUCER_CONNECTION_LIST`.
    pub struct GetProducerConnectionListRequestHeader {
        /// Producer group.
        pub producer_group: String => "producerGroup",
    }

    /// Request of `GET_CONSUMER_RUNNING_INFO`.
    pub struct GetConsumerRunningInfoRequestHeader {
        /// Consumer group.
        pub consumer_group: String => "consumerGroup",
        /// Client id.
        pub client_id: String => "clientId",
        /// Whether a stack dump is wanted.
        pub jstack_enable: bool => "jstackEnable" or false,
    }

    /// Request of `CONSUME_MESSAGE_DIRECTLY`.
    pub struct ConsumeMessageDirectlyResultRequestHeader {
        /// Consumer group.
        pub consumer_group: String => "consumerGroup",
        /// Client id.
        pub client_id: Option<String> => "clientId",
        /// Message id.
        pub msg_id: Option<String> => "msgId",
        /// Broker name.
        pub broker_name: Option<String> => "brokerName",
        /// Topic.
        pub topic: Option<String> => "topic",
        /// System flag of the topic.
        pub topic_sys_flag: Option<i32> => "topicSysFlag",
        /// System flag of the group.
        pub group_sys_flag: Option<i32> => "groupSysFlag",
    }
}
