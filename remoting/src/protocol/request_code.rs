//! The request table: every request code of RocketMQ 5.5.0, who answers it, and what it carries.
//!
//! This is the only place a code is declared. Each server dispatches with one exhaustive `match` on
//! [`RequestCode`], so a new row fails the build until every server has decided about it.
//!
//! A row reads: number, variant, wire name, who answers; then request header and body, answer header
//! and body. An empty string says there is none. Numbers and names are those of `RequestCode.java`.

use std::fmt;

/// The set of server roles that answer a request code; empty when the code is only a constant in Java.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Answerers(u8);

const NOBODY: u8 = 0;
const NAMESRV: u8 = 1;
const BROKER: u8 = 1 << 1;
const CLIENT: u8 = 1 << 2;
const CONTROLLER: u8 = 1 << 3;
const CONTAINER: u8 = 1 << 4;

impl Answerers {
    /// No role: answered with `REQUEST_CODE_NOT_SUPPORTED` everywhere.
    pub const NOBODY: Self = Self(NOBODY);
    /// Name server.
    pub const NAMESRV: Self = Self(NAMESRV);
    /// Broker.
    pub const BROKER: Self = Self(BROKER);
    /// A client, called back by a broker.
    pub const CLIENT: Self = Self(CLIENT);
    /// Controller (master election).
    pub const CONTROLLER: Self = Self(CONTROLLER);
    /// A container that hosts several brokers in one process.
    pub const CONTAINER: Self = Self(CONTAINER);

    const NAMES: [(Self, &'static str); 5] = [
        (Self::NAMESRV, "NAMESRV"),
        (Self::BROKER, "BROKER"),
        (Self::CLIENT, "CLIENT"),
        (Self::CONTROLLER, "CONTROLLER"),
        (Self::CONTAINER, "CONTAINER"),
    ];

    /// Whether every role of `role` is in this set.
    pub const fn contains(self, role: Self) -> bool {
        self.0 & role.0 == role.0
    }

    /// Whether no role answers.
    pub const fn is_nobody(self) -> bool {
        self.0 == NOBODY
    }
}

/// Role names joined by `+`, or `NOBODY`.
impl fmt::Display for Answerers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_nobody() {
            return f.write_str("NOBODY");
        }
        let mut separator = "";
        for (role, name) in Self::NAMES {
            if self.contains(role) {
                write!(f, "{separator}{name}")?;
                separator = "+";
            }
        }
        Ok(())
    }
}

/// A request code that is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("request code {0} is not known")]
pub struct UnknownRequestCode(pub i32);

const fn given(text: &'static str) -> Option<&'static str> {
    if text.is_empty() { None } else { Some(text) }
}

macro_rules! request_codes {
    ($(
        $code:literal $variant:ident $name:literal: $($role:ident)|+;
        $header:literal, $body:literal => $response_header:literal, $response_body:literal;
    )*) => {
        /// A request code of the remoting protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i32)]
        pub enum RequestCode {
            $(
                #[doc = concat!("`", $name, "`, answered by ", stringify!($($role)|+), ".\n")]
                #[doc = concat!("Request: header \"", $header, "\", body \"", $body, "\".")]
                #[doc = concat!("Answer: header \"", $response_header, "\", body \"", $response_body, "\".")]
                $variant = $code,
            )*
        }

        impl RequestCode {
            /// Every row of the table, in order of code.
            pub const ALL: &'static [RequestCode] = &[$(RequestCode::$variant),*];

            /// The name of the constant in Java, such as `SEND_MESSAGE`.
            pub const fn name(self) -> &'static str {
                match self { $(RequestCode::$variant => $name),* }
            }

            /// The roles that answer this code.
            pub const fn answerers(self) -> Answerers {
                match self { $(RequestCode::$variant => Answerers($($role)|+)),* }
            }

            /// Type name of the request header, if the code has one.
            pub const fn header(self) -> Option<&'static str> {
                given(match self { $(RequestCode::$variant => $header),* })
            }

            /// What the request body holds: a type of [`crate::protocol::body`] or a short description.
            pub const fn body(self) -> Option<&'static str> {
                given(match self { $(RequestCode::$variant => $body),* })
            }

            /// Type name of the answer's header, if there is one.
            pub const fn response_header(self) -> Option<&'static str> {
                given(match self { $(RequestCode::$variant => $response_header),* })
            }

            /// What the answer's body holds.
            pub const fn response_body(self) -> Option<&'static str> {
                given(match self { $(RequestCode::$variant => $response_body),* })
            }
        }

        impl TryFrom<i32> for RequestCode {
            type Error = UnknownRequestCode;

            fn try_from(code: i32) -> Result<Self, UnknownRequestCode> {
                match code {
                    $($code => Ok(RequestCode::$variant),)*
                    _ => Err(UnknownRequestCode(code)),
                }
            }
        }
    };
}

impl From<RequestCode> for i32 {
    fn from(code: RequestCode) -> i32 {
        code as i32
    }
}

/// The wire name, such as `SEND_MESSAGE`.
impl fmt::Display for RequestCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

request_codes! {
    10 SendMessage "SEND_MESSAGE": BROKER;
        "SendMessageRequestHeader", "message" => "SendMessageResponseHeader", "";
    11 PullMessage "PULL_MESSAGE": BROKER;
        "PullMessageRequestHeader", "" => "PullMessageResponseHeader", "stored messages";
    12 QueryMessage "QUERY_MESSAGE": BROKER;
        "QueryMessageRequestHeader", "" => "QueryMessageResponseHeader", "stored messages";
    13 QueryBrokerOffset "QUERY_BROKER_OFFSET": NOBODY;
        "", "" => "", "";
    14 QueryConsumerOffset "QUERY_CONSUMER_OFFSET": BROKER;
        "QueryConsumerOffsetRequestHeader", "" => "QueryConsumerOffsetResponseHeader", "";
    15 UpdateConsumerOffset "UPDATE_CONSUMER_OFFSET": BROKER;
        "UpdateConsumerOffsetRequestHeader", "" => "UpdateConsumerOffsetResponseHeader", "";
    17 UpdateAndCreateTopic "UPDATE_AND_CREATE_TOPIC": BROKER;
        "CreateTopicRequestHeader", "" => "", "";
    18 UpdateAndCreateTopicList "UPDATE_AND_CREATE_TOPIC_LIST": BROKER;
        "CreateTopicListRequestHeader", "CreateTopicListRequestBody" => "", "";
    21 GetAllTopicConfig "GET_ALL_TOPIC_CONFIG": BROKER;
        "GetAllTopicConfigRequestHeader", "" => "GetAllTopicConfigResponseHeader", "TopicConfigAndMappingSerializeWrapper";
    22 GetTopicConfigList "GET_TOPIC_CONFIG_LIST": NOBODY;
        "", "" => "", "";
    23 GetTopicNameList "GET_TOPIC_NAME_LIST": NOBODY;
        "", "" => "", "";
    25 UpdateBrokerConfig "UPDATE_BROKER_CONFIG": BROKER | CONTAINER;
        "", "properties text" => "", "";
    26 GetBrokerConfig "GET_BROKER_CONFIG": BROKER | CONTAINER;
        "", "" => "GetBrokerConfigResponseHeader", "properties text";
    27 TriggerDeleteFiles "TRIGGER_DELETE_FILES": NOBODY;
        "", "" => "", "";
    28 GetBrokerRuntimeInfo "GET_BROKER_RUNTIME_INFO": BROKER;
        "", "" => "", "KVTable";
    29 SearchOffsetByTimestamp "SEARCH_OFFSET_BY_TIMESTAMP": BROKER;
        "SearchOffsetRequestHeader", "" => "SearchOffsetResponseHeader", "";
    30 GetMaxOffset "GET_MAX_OFFSET": BROKER;
        "GetMaxOffsetRequestHeader", "" => "GetMaxOffsetResponseHeader", "";
    31 GetMinOffset "GET_MIN_OFFSET": BROKER;
        "GetMinOffsetRequestHeader", "" => "GetMinOffsetResponseHeader", "";
    32 GetEarliestMsgStoreTime "GET_EARLIEST_MSG_STORETIME": BROKER;
        "GetEarliestMsgStoretimeRequestHeader", "" => "GetEarliestMsgStoretimeResponseHeader", "";
    33 ViewMessageById "VIEW_MESSAGE_BY_ID": BROKER;
        "ViewMessageRequestHeader", "" => "ViewMessageResponseHeader", "stored message";
    34 HeartBeat "HEART_BEAT": BROKER;
        "HeartbeatRequestHeader", "HeartbeatData" => "", "";
    35 UnregisterClient "UNREGISTER_CLIENT": BROKER;
        "UnregisterClientRequestHeader", "" => "UnregisterClientResponseHeader", "";
    36 ConsumerSendMsgBack "CONSUMER_SEND_MSG_BACK": BROKER;
        "ConsumerSendMsgBackRequestHeader", "" => "", "";
    37 EndTransaction "END_TRANSACTION": BROKER;
        "EndTransactionRequestHeader", "" => "", "";
    38 GetConsumerListByGroup "GET_CONSUMER_LIST_BY_GROUP": BROKER;
        "GetConsumerListByGroupRequestHeader", "" => "GetConsumerListByGroupResponseHeader", "GetConsumerListByGroupResponseBody";
    39 CheckTransactionState "CHECK_TRANSACTION_STATE": CLIENT;
        "CheckTransactionStateRequestHeader", "stored message" => "", "";
    40 NotifyConsumerIdsChanged "NOTIFY_CONSUMER_IDS_CHANGED": CLIENT;
        "NotifyConsumerIdsChangedRequestHeader", "" => "", "";
    41 LockBatchMq "LOCK_BATCH_MQ": BROKER;
        "LockBatchMqRequestHeader", "LockBatchRequestBody" => "", "LockBatchResponseBody";
    42 UnlockBatchMq "UNLOCK_BATCH_MQ": BROKER;
        "UnlockBatchMqRequestHeader", "UnlockBatchRequestBody" => "", "";
    43 GetAllConsumerOffset "GET_ALL_CONSUMER_OFFSET": BROKER;
        "", "" => "", "ConsumerOffsetSerializeWrapper";
    45 GetAllDelayOffset "GET_ALL_DELAY_OFFSET": BROKER;
        "", "" => "", "DelayOffsetSerializeWrapper";
    46 CheckClientConfig "CHECK_CLIENT_CONFIG": BROKER;
        "", "CheckClientRequestBody" => "", "";
    47 GetClientConfig "GET_CLIENT_CONFIG": NOBODY;
        "", "" => "", "";
    60 GetTimerCheckPoint "GET_TIMER_CHECK_POINT": BROKER;
        "", "" => "", "binary TimerCheckpoint";
    61 GetTimerMetrics "GET_TIMER_METRICS": BROKER;
        "", "" => "", "TimerMetrics JSON text";
    100 PutKvConfig "PUT_KV_CONFIG": NAMESRV;
        "PutKVConfigRequestHeader", "" => "", "";
    101 GetKvConfig "GET_KV_CONFIG": NAMESRV;
        "GetKVConfigRequestHeader", "" => "GetKVConfigResponseHeader", "";
    102 DeleteKvConfig "DELETE_KV_CONFIG": NAMESRV;
        "DeleteKVConfigRequestHeader", "" => "", "";
    103 RegisterBroker "REGISTER_BROKER": NAMESRV;
        "RegisterBrokerRequestHeader", "RegisterBrokerBody" => "RegisterBrokerResponseHeader", "KVTable";
    104 UnregisterBroker "UNREGISTER_BROKER": NAMESRV;
        "UnRegisterBrokerRequestHeader", "" => "", "";
    105 GetRouteInfoByTopic "GET_ROUTEINFO_BY_TOPIC": NAMESRV;
        "GetRouteInfoRequestHeader", "" => "", "TopicRouteData";
    106 GetBrokerClusterInfo "GET_BROKER_CLUSTER_INFO": NAMESRV;
        "", "" => "", "ClusterInfo";
    200 UpdateAndCreateSubscriptionGroup "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP": BROKER;
        "", "SubscriptionGroupConfig" => "", "";
    201 GetAllSubscriptionGroupConfig "GET_ALL_SUBSCRIPTIONGROUP_CONFIG": BROKER;
        "GetAllSubscriptionGroupRequestHeader", "" => "GetAllSubscriptionGroupResponseHeader", "SubscriptionGroupWrapper";
    202 GetTopicStatsInfo "GET_TOPIC_STATS_INFO": BROKER;
        "GetTopicStatsInfoRequestHeader", "" => "", "TopicStatsTable";
    203 GetConsumerConnectionList "GET_CONSUMER_CONNECTION_LIST": BROKER;
        "GetConsumerConnectionListRequestHeader", "" => "", "ConsumerConnection";
    204 GetProducerConnectionList "GET_PRODUCER_CONNECTION_LIST": BROKER;
        "GetProducerConnectionListRequestHeader", "" => "", "ProducerConnection";
    205 WipeWritePermOfBroker "WIPE_WRITE_PERM_OF_BROKER": NAMESRV;
        "WipeWritePermOfBrokerRequestHeader", "" => "WipeWritePermOfBrokerResponseHeader", "";
    206 GetAllTopicListFromNameServer "GET_ALL_TOPIC_LIST_FROM_NAMESERVER": NAMESRV;
        "", "" => "", "TopicList";
    207 DeleteSubscriptionGroup "DELETE_SUBSCRIPTIONGROUP": BROKER;
        "DeleteSubscriptionGroupRequestHeader", "" => "", "";
    208 GetConsumeStats "GET_CONSUME_STATS": BROKER;
        "GetConsumeStatsRequestHeader", "" => "", "ConsumeStats";
    209 SuspendConsumer "SUSPEND_CONSUMER": NOBODY;
        "", "" => "", "";
    210 ResumeConsumer "RESUME_CONSUMER": NOBODY;
        "", "" => "", "";
    211 ResetConsumerOffsetInConsumer "RESET_CONSUMER_OFFSET_IN_CONSUMER": NOBODY;
        "", "" => "", "";
    212 ResetConsumerOffsetInBroker "RESET_CONSUMER_OFFSET_IN_BROKER": NOBODY;
        "", "" => "", "";
    213 AdjustConsumerThreadPool "ADJUST_CONSUMER_THREAD_POOL": NOBODY;
        "", "" => "", "";
    214 WhoConsumeTheMessage "WHO_CONSUME_THE_MESSAGE": NOBODY;
        "", "" => "", "";
    215 DeleteTopicInBroker "DELETE_TOPIC_IN_BROKER": BROKER;
        "DeleteTopicRequestHeader", "" => "", "";
    216 DeleteTopicInNamesrv "DELETE_TOPIC_IN_NAMESRV": NAMESRV;
        "DeleteTopicFromNamesrvRequestHeader", "" => "", "";
    217 RegisterTopicInNamesrv "REGISTER_TOPIC_IN_NAMESRV": NAMESRV;
        "RegisterTopicRequestHeader", "TopicRouteData" => "", "";
    219 GetKvListByNamespace "GET_KVLIST_BY_NAMESPACE": NAMESRV;
        "GetKVListByNamespaceRequestHeader", "" => "", "KVTable";
    220 ResetConsumerClientOffset "RESET_CONSUMER_CLIENT_OFFSET": CLIENT;
        "ResetOffsetRequestHeader", "ResetOffsetBody" => "", "";
    221 GetConsumerStatusFromClient "GET_CONSUMER_STATUS_FROM_CLIENT": CLIENT;
        "GetConsumerStatusRequestHeader", "" => "", "GetConsumerStatusBody.messageQueueTable";
    222 InvokeBrokerToResetOffset "INVOKE_BROKER_TO_RESET_OFFSET": BROKER;
        "ResetOffsetRequestHeader", "" => "", "ResetOffsetBody";
    223 InvokeBrokerToGetConsumerStatus "INVOKE_BROKER_TO_GET_CONSUMER_STATUS": BROKER;
        "GetConsumerStatusRequestHeader", "" => "", "GetConsumerStatusBody.consumerTable";
    224 GetTopicsByCluster "GET_TOPICS_BY_CLUSTER": NAMESRV;
        "GetTopicsByClusterRequestHeader", "" => "", "TopicList";
    225 UpdateAndCreateSubscriptionGroupList "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST": BROKER;
        "", "SubscriptionGroupList" => "", "";
    300 QueryTopicConsumeByWho "QUERY_TOPIC_CONSUME_BY_WHO": BROKER;
        "QueryTopicConsumeByWhoRequestHeader", "" => "", "GroupList";
    301 RegisterFilterServer "REGISTER_FILTER_SERVER": NOBODY;
        "", "" => "", "";
    302 RegisterMessageFilterClass "REGISTER_MESSAGE_FILTER_CLASS": NOBODY;
        "", "" => "", "";
    303 QueryConsumeTimeSpan "QUERY_CONSUME_TIME_SPAN": BROKER;
        "QueryConsumeTimeSpanRequestHeader", "" => "", "QueryConsumeTimeSpanBody";
    304 GetSystemTopicListFromNs "GET_SYSTEM_TOPIC_LIST_FROM_NS": NAMESRV;
        "", "" => "", "TopicList";
    305 GetSystemTopicListFromBroker "GET_SYSTEM_TOPIC_LIST_FROM_BROKER": BROKER;
        "", "" => "", "TopicList";
    306 CleanExpiredConsumeQueue "CLEAN_EXPIRED_CONSUMEQUEUE": BROKER;
        "", "" => "", "";
    307 GetConsumerRunningInfo "GET_CONSUMER_RUNNING_INFO": BROKER | CLIENT;
        "GetConsumerRunningInfoRequestHeader", "" => "", "ConsumerRunningInfo";
    308 QueryCorrectionOffset "QUERY_CORRECTION_OFFSET": BROKER;
        "QueryCorrectionOffsetHeader", "" => "", "QueryCorrectionOffsetBody";
    309 ConsumeMessageDirectly "CONSUME_MESSAGE_DIRECTLY": BROKER | CLIENT;
        "ConsumeMessageDirectlyResultRequestHeader", "stored message" => "", "ConsumeMessageDirectlyResult";
    310 SendMessageV2 "SEND_MESSAGE_V2": BROKER;
        "SendMessageRequestHeaderV2", "message" => "SendMessageResponseHeader", "";
    311 GetUnitTopicList "GET_UNIT_TOPIC_LIST": NAMESRV;
        "", "" => "", "TopicList";
    312 GetHasUnitSubTopicList "GET_HAS_UNIT_SUB_TOPIC_LIST": NAMESRV;
        "", "" => "", "TopicList";
    313 GetHasUnitSubUnunitTopicList "GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST": NAMESRV;
        "", "" => "", "TopicList";
    314 CloneGroupOffset "CLONE_GROUP_OFFSET": BROKER;
        "CloneGroupOffsetRequestHeader", "" => "", "";
    315 ViewBrokerStatsData "VIEW_BROKER_STATS_DATA": BROKER;
        "ViewBrokerStatsDataRequestHeader", "" => "", "BrokerStatsData";
    316 CleanUnusedTopic "CLEAN_UNUSED_TOPIC": BROKER;
        "", "" => "", "";
    317 GetBrokerConsumeStats "GET_BROKER_CONSUME_STATS": BROKER;
        "GetConsumeStatsInBrokerHeader", "" => "", "ConsumeStatsList";
    318 UpdateNamesrvConfig "UPDATE_NAMESRV_CONFIG": NAMESRV;
        "", "properties text" => "", "";
    319 GetNamesrvConfig "GET_NAMESRV_CONFIG": NAMESRV;
        "", "" => "", "properties text";
    320 SendBatchMessage "SEND_BATCH_MESSAGE": BROKER;
        "SendMessageRequestHeaderV2", "message batch" => "SendMessageResponseHeader", "";
    321 QueryConsumeQueue "QUERY_CONSUME_QUEUE": BROKER;
        "QueryConsumeQueueRequestHeader", "" => "", "QueryConsumeQueueResponseBody";
    322 QueryDataVersion "QUERY_DATA_VERSION": NAMESRV;
        "QueryDataVersionRequestHeader", "DataVersion" => "QueryDataVersionResponseHeader", "DataVersion";
    323 ResumeCheckHalfMessage "RESUME_CHECK_HALF_MESSAGE": BROKER;
        "ResumeCheckHalfMessageRequestHeader", "" => "", "";
    324 SendReplyMessage "SEND_REPLY_MESSAGE": BROKER;
        "SendMessageRequestHeader", "message" => "SendMessageResponseHeader", "";
    325 SendReplyMessageV2 "SEND_REPLY_MESSAGE_V2": BROKER;
        "SendMessageRequestHeaderV2", "message" => "SendMessageResponseHeader", "";
    326 PushReplyMessageToClient "PUSH_REPLY_MESSAGE_TO_CLIENT": CLIENT;
        "ReplyMessageRequestHeader", "message" => "", "";
    327 AddWritePermOfBroker "ADD_WRITE_PERM_OF_BROKER": NAMESRV;
        "AddWritePermOfBrokerRequestHeader", "" => "AddWritePermOfBrokerResponseHeader", "";
    328 GetAllProducerInfo "GET_ALL_PRODUCER_INFO": BROKER;
        "GetAllProducerInfoRequestHeader", "" => "", "ProducerTableInfo";
    329 DeleteExpiredCommitLog "DELETE_EXPIRED_COMMITLOG": BROKER;
        "", "" => "", "";
    343 QueryTopicsByConsumer "QUERY_TOPICS_BY_CONSUMER": BROKER;
        "QueryTopicsByConsumerRequestHeader", "" => "", "TopicList";
    345 QuerySubscriptionByConsumer "QUERY_SUBSCRIPTION_BY_CONSUMER": BROKER;
        "QuerySubscriptionByConsumerRequestHeader", "" => "", "QuerySubscriptionResponseBody";
    351 GetTopicConfig "GET_TOPIC_CONFIG": BROKER;
        "GetTopicConfigRequestHeader", "" => "", "TopicConfigAndQueueMapping";
    352 GetSubscriptionGroupConfig "GET_SUBSCRIPTIONGROUP_CONFIG": BROKER;
        "GetSubscriptionGroupConfigRequestHeader", "" => "", "SubscriptionGroupConfig";
    353 UpdateAndGetGroupForbidden "UPDATE_AND_GET_GROUP_FORBIDDEN": BROKER;
        "UpdateGroupForbiddenRequestHeader", "" => "", "GroupForbidden";
    354 CheckRocksDbCqWriteProgress "CHECK_ROCKSDB_CQ_WRITE_PROGRESS": BROKER;
        "CheckRocksdbCqWriteProgressRequestHeader", "" => "", "CheckRocksdbCqWriteResult";
    355 ExportRocksDbConfigToJson "EXPORT_ROCKSDB_CONFIG_TO_JSON": BROKER;
        "ExportRocksDBConfigToJsonRequestHeader", "" => "", "";
    361 LitePullMessage "LITE_PULL_MESSAGE": BROKER;
        "PullMessageRequestHeader", "" => "PullMessageResponseHeader", "stored messages";
    370 RecallMessage "RECALL_MESSAGE": BROKER;
        "RecallMessageRequestHeader", "" => "RecallMessageResponseHeader", "";
    400 QueryAssignment "QUERY_ASSIGNMENT": BROKER;
        "", "QueryAssignmentRequestBody" => "", "QueryAssignmentResponseBody";
    401 SetMessageRequestMode "SET_MESSAGE_REQUEST_MODE": BROKER;
        "", "SetMessageRequestModeRequestBody" => "", "";
    402 GetAllMessageRequestMode "GET_ALL_MESSAGE_REQUEST_MODE": BROKER;
        "", "" => "", "MessageRequestModeSerializeWrapper";
    513 UpdateAndCreateStaticTopic "UPDATE_AND_CREATE_STATIC_TOPIC": BROKER;
        "CreateTopicRequestHeader", "TopicQueueMappingDetail" => "", "";
    901 GetBrokerMemberGroup "GET_BROKER_MEMBER_GROUP": NAMESRV;
        "GetBrokerMemberGroupRequestHeader", "" => "", "GetBrokerMemberGroupResponseBody";
    902 AddBroker "ADD_BROKER": CONTAINER;
        "AddBrokerRequestHeader", "" => "", "";
    903 RemoveBroker "REMOVE_BROKER": CONTAINER;
        "RemoveBrokerRequestHeader", "" => "", "";
    904 BrokerHeartbeat "BROKER_HEARTBEAT": NAMESRV | CONTROLLER;
        "BrokerHeartbeatRequestHeader", "" => "", "";
    905 NotifyMinBrokerIdChange "NOTIFY_MIN_BROKER_ID_CHANGE": BROKER;
        "NotifyMinBrokerIdChangeRequestHeader", "" => "", "";
    906 ExchangeBrokerHaInfo "EXCHANGE_BROKER_HA_INFO": BROKER;
        "ExchangeHAInfoRequestHeader", "" => "ExchangeHAInfoResponseHeader", "";
    907 GetBrokerHaStatus "GET_BROKER_HA_STATUS": BROKER;
        "", "" => "", "HARuntimeInfo";
    908 ResetMasterFlushOffset "RESET_MASTER_FLUSH_OFFSET": BROKER;
        "ResetMasterFlushOffsetHeader", "" => "", "";
    1001 ControllerAlterSyncStateSet "CONTROLLER_ALTER_SYNC_STATE_SET": CONTROLLER;
        "AlterSyncStateSetRequestHeader", "SyncStateSet" => "AlterSyncStateSetResponseHeader", "SyncStateSet";
    1002 ControllerElectMaster "CONTROLLER_ELECT_MASTER": CONTROLLER;
        "ElectMasterRequestHeader", "" => "ElectMasterResponseHeader", "ElectMasterResponseBody";
    1003 ControllerRegisterBroker "CONTROLLER_REGISTER_BROKER": CONTROLLER;
        "RegisterBrokerToControllerRequestHeader", "" => "RegisterBrokerToControllerResponseHeader", "SyncStateSet";
    1004 ControllerGetReplicaInfo "CONTROLLER_GET_REPLICA_INFO": CONTROLLER;
        "GetReplicaInfoRequestHeader", "" => "GetReplicaInfoResponseHeader", "SyncStateSet";
    1005 ControllerGetMetadataInfo "CONTROLLER_GET_METADATA_INFO": CONTROLLER;
        "", "" => "GetMetaDataResponseHeader", "";
    1006 ControllerGetSyncStateData "CONTROLLER_GET_SYNC_STATE_DATA": CONTROLLER;
        "", "JSON array of broker names" => "", "BrokerReplicasInfo";
    1007 GetBrokerEpochCache "GET_BROKER_EPOCH_CACHE": BROKER;
        "", "" => "", "EpochEntryCache";
    1008 NotifyBrokerRoleChanged "NOTIFY_BROKER_ROLE_CHANGED": BROKER;
        "NotifyBrokerRoleChangedRequestHeader", "SyncStateSet" => "", "";
    1009 UpdateControllerConfig "UPDATE_CONTROLLER_CONFIG": CONTROLLER;
        "", "properties text" => "", "";
    1010 GetControllerConfig "GET_CONTROLLER_CONFIG": CONTROLLER;
        "", "" => "", "properties text";
    1011 CleanBrokerData "CLEAN_BROKER_DATA": CONTROLLER;
        "CleanControllerBrokerDataRequestHeader", "" => "", "";
    1012 ControllerGetNextBrokerId "CONTROLLER_GET_NEXT_BROKER_ID": CONTROLLER;
        "GetNextBrokerIdRequestHeader", "" => "GetNextBrokerIdResponseHeader", "";
    1013 ControllerApplyBrokerId "CONTROLLER_APPLY_BROKER_ID": CONTROLLER;
        "ApplyBrokerIdRequestHeader", "" => "ApplyBrokerIdResponseHeader", "";
    1014 BrokerCloseChannelRequest "BROKER_CLOSE_CHANNEL_REQUEST": NOBODY;
        "BrokerCloseChannelRequest", "" => "", "";
    1015 CheckNotActiveBrokerRequest "CHECK_NOT_ACTIVE_BROKER_REQUEST": NOBODY;
        "CheckNotActiveBrokerRequest", "" => "", "JSON list of broker identities";
    1016 GetBrokerLiveInfoRequest "GET_BROKER_LIVE_INFO_REQUEST": NOBODY;
        "GetBrokerLiveInfoRequest", "" => "", "JSON map";
    1017 GetSyncStateDataRequest "GET_SYNC_STATE_DATA_REQUEST": NOBODY;
        "GetSyncStateDataRequest", "" => "", "JSON";
    1018 RaftBrokerHeartBeatEventRequest "RAFT_BROKER_HEART_BEAT_EVENT_REQUEST": NOBODY;
        "RaftBrokerHeartBeatEventRequest", "" => "", "";
    2001 UpdateColdDataFlowCtrConfig "UPDATE_COLD_DATA_FLOW_CTR_CONFIG": BROKER;
        "", "properties text" => "", "";
    2002 RemoveColdDataFlowCtrConfig "REMOVE_COLD_DATA_FLOW_CTR_CONFIG": BROKER;
        "", "group name text" => "", "";
    2003 GetColdDataFlowCtrInfo "GET_COLD_DATA_FLOW_CTR_INFO": BROKER;
        "", "" => "", "cold data flow info JSON";
    2004 SetCommitLogReadMode "SET_COMMITLOG_READ_MODE": BROKER;
        "", "" => "", "";
    3001 AuthCreateUser "AUTH_CREATE_USER": BROKER;
        "CreateUserRequestHeader", "UserInfo" => "", "";
    3002 AuthUpdateUser "AUTH_UPDATE_USER": BROKER;
        "UpdateUserRequestHeader", "UserInfo" => "", "";
    3003 AuthDeleteUser "AUTH_DELETE_USER": BROKER;
        "DeleteUserRequestHeader", "" => "", "";
    3004 AuthGetUser "AUTH_GET_USER": BROKER;
        "GetUserRequestHeader", "" => "", "UserInfo";
    3005 AuthListUser "AUTH_LIST_USER": BROKER;
        "ListUsersRequestHeader", "" => "", "JSON array of UserInfo";
    3006 AuthCreateAcl "AUTH_CREATE_ACL": BROKER;
        "CreateAclRequestHeader", "AclInfo" => "", "";
    3007 AuthUpdateAcl "AUTH_UPDATE_ACL": BROKER;
        "UpdateAclRequestHeader", "AclInfo" => "", "";
    3008 AuthDeleteAcl "AUTH_DELETE_ACL": BROKER;
        "DeleteAclRequestHeader", "" => "", "";
    3009 AuthGetAcl "AUTH_GET_ACL": BROKER;
        "GetAclRequestHeader", "" => "", "AclInfo";
    3010 AuthListAcl "AUTH_LIST_ACL": BROKER;
        "ListAclsRequestHeader", "" => "", "JSON array of AclInfo";
    5001 SwitchTimerEngine "SWITCH_TIMER_ENGINE": BROKER;
        "", "" => "", "";
    200050 PopMessage "POP_MESSAGE": BROKER;
        "PopMessageRequestHeader", "" => "PopMessageResponseHeader", "stored messages";
    200051 AckMessage "ACK_MESSAGE": BROKER;
        "AckMessageRequestHeader", "" => "", "";
    200052 PeekMessage "PEEK_MESSAGE": BROKER;
        "PeekMessageRequestHeader", "" => "PopMessageResponseHeader", "stored messages";
    200053 ChangeMessageInvisibleTime "CHANGE_MESSAGE_INVISIBLETIME": BROKER;
        "ChangeInvisibleTimeRequestHeader", "" => "ChangeInvisibleTimeResponseHeader", "";
    200054 Notification "NOTIFICATION": BROKER;
        "NotificationRequestHeader", "" => "NotificationResponseHeader", "";
    200055 PollingInfo "POLLING_INFO": BROKER;
        "PollingInfoRequestHeader", "" => "PollingInfoResponseHeader", "";
    200056 PopRollback "POP_ROLLBACK": BROKER;
        "", "" => "", "";
    200070 PopLiteMessage "POP_LITE_MESSAGE": BROKER;
        "PopLiteMessageRequestHeader", "" => "PopLiteMessageResponseHeader", "stored messages";
    200071 LiteSubscriptionCtl "LITE_SUBSCRIPTION_CTL": BROKER;
        "LiteSubscriptionCtlRequestHeader", "LiteSubscriptionCtlRequestBody" => "", "";
    200072 AckLiteMessage "ACK_LITE_MESSAGE": NOBODY;
        "", "" => "", "";
    200073 NotifyUnsubscribeLite "NOTIFY_UNSUBSCRIBE_LITE": CLIENT;
        "NotifyUnsubscribeLiteRequestHeader", "" => "", "";
    200074 GetBrokerLiteInfo "GET_BROKER_LITE_INFO": BROKER;
        "", "" => "", "GetBrokerLiteInfoResponseBody";
    200075 GetParentTopicInfo "GET_PARENT_TOPIC_INFO": BROKER;
        "GetParentTopicInfoRequestHeader", "" => "", "GetParentTopicInfoResponseBody";
    200076 GetLiteTopicInfo "GET_LITE_TOPIC_INFO": BROKER;
        "GetLiteTopicInfoRequestHeader", "" => "", "GetLiteTopicInfoResponseBody";
    200077 GetLiteClientInfo "GET_LITE_CLIENT_INFO": BROKER;
        "GetLiteClientInfoRequestHeader", "" => "", "GetLiteClientInfoResponseBody";
    200078 GetLiteGroupInfo "GET_LITE_GROUP_INFO": BROKER;
        "GetLiteGroupInfoRequestHeader", "" => "", "GetLiteGroupInfoResponseBody";
    200079 TriggerLiteDispatch "TRIGGER_LITE_DISPATCH": BROKER;
        "TriggerLiteDispatchRequestHeader", "" => "", "";
    200151 BatchAckMessage "BATCH_ACK_MESSAGE": BROKER;
        "", "BatchAckMessageRequestBody" => "", "";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds the table against `tests/request-codes.txt`, which lists code, name and answering roles.
    #[test]
    fn table_equals_the_list_of_5_5_0() {
        let listed: Vec<String> = include_str!("../../tests/request-codes.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::to_owned)
            .collect();
        let table: Vec<String> = RequestCode::ALL
            .iter()
            .map(|code| format!("{} {} {}", *code as i32, code.name(), code.answerers()))
            .collect();
        assert_eq!(table, listed);
    }

    #[test]
    fn numbers_convert_both_ways() {
        for &code in RequestCode::ALL {
            assert_eq!(RequestCode::try_from(code as i32), Ok(code));
        }
        assert_eq!(RequestCode::try_from(-1), Err(UnknownRequestCode(-1)));
        assert_eq!(RequestCode::try_from(16), Err(UnknownRequestCode(16)));
    }
}
