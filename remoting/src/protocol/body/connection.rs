//! Who is connected to a broker.

use std::collections::BTreeMap;

use super::heartbeat::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData};
use crate::body;
use crate::protocol::command::LanguageCode;
use crate::protocol::fastjson::{FromJson, JsonError, Reader, ToJson, Writer};

/// By name, as Java's enum; a number is taken as the code.
impl FromJson for LanguageCode {
    fn from_json(reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError> {
        let text = reader.text()?;
        Ok(text.and_then(|text| LanguageCode::from_name(&text).or_else(|| text.parse().ok().map(LanguageCode))))
    }
}

impl ToJson for LanguageCode {
    fn to_json(&self, writer: &mut Writer) {
        writer.string(self.name());
    }
}

body! {
    /// A client's connection.
    #[derive(Eq, Hash)]
    pub struct Connection {
        /// Remote address, `ip:port`.
        "clientAddr" client_addr: String,
        /// Client id.
        "clientId" client_id: String,
        /// Language of the client.
        "language" language: Option<LanguageCode>,
        /// Version ordinal of the client.
        "version" version: i32,
    }

    /// Answer of `GET_CONSUMER_CONNECTION_LIST`.
    #[derive(Eq)]
    pub struct ConsumerConnection {
        /// Connections of the group.
        "connectionSet" connection_set: Vec<Connection>,
        /// Where the group starts without offsets.
        "consumeFromWhere" consume_from_where: Option<ConsumeFromWhere>,
        /// Pull, push or pop.
        "consumeType" consume_type: Option<ConsumeType>,
        /// Clustering or broadcasting.
        "messageModel" message_model: Option<MessageModel>,
        /// Subscriptions by topic.
        "subscriptionTable" subscription_table: BTreeMap<String, SubscriptionData>,
    }

    /// Answer of `GET_PRODUCER_CONNECTION_LIST`.
    #[derive(Eq)]
    pub struct ProducerConnection {
        /// Connections of the group.
        "connectionSet" connection_set: Vec<Connection>,
    }

    /// Answer of `GET_ALL_PRODUCER_INFO`.
    #[derive(Eq)]
    pub struct ProducerTableInfo {
        /// Producers by group.
        "data" data: BTreeMap<String, Vec<ProducerInfo>>,
    }

    /// A producer's connection.
    #[derive(Eq, Hash)]
    pub struct ProducerInfo {
        /// Client id.
        "clientId" client_id: String,
        /// Language of the client.
        "language" language: Option<LanguageCode>,
        /// Time of the last heartbeat, ms since 1970.
        "lastUpdateTimestamp" last_update_timestamp: i64,
        /// Remote address.
        "remoteIP" remote_ip: String,
        /// Version ordinal of the client.
        "version" version: i32,
    }

    /// Answer of `GET_CONSUMER_LIST_BY_GROUP`.
    #[derive(Eq)]
    pub struct GetConsumerListByGroupResponseBody {
        /// Client ids of the group.
        "consumerIdList" consumer_id_list: Vec<String>,
    }
}
