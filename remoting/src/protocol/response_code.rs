//! Response codes of RocketMQ 5.5.0: the `code` field of an answer.
//!
//! Numbers and names are those of `ResponseCode.java` and `RemotingSysResponseCode.java`.

use std::fmt;

/// A response code that is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("response code {0} is not known")]
pub struct UnknownResponseCode(pub i32);

macro_rules! response_codes {
    ($($(#[$doc:meta])* $code:literal $variant:ident $name:literal;)*) => {
        /// The outcome of a request. The header fields of the answer are complete for [`Success`](Self::Success)
        /// and wherever a variant says that the message is stored.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i32)]
        pub enum ResponseCode {
            $($(#[$doc])* $variant = $code,)*
        }

        impl ResponseCode {
            /// Every code, in order of number.
            pub const ALL: &'static [ResponseCode] = &[$(ResponseCode::$variant),*];

            /// The name of the constant in Java, such as `TOPIC_NOT_EXIST`.
            pub const fn name(self) -> &'static str {
                match self { $(ResponseCode::$variant => $name),* }
            }
        }

        impl TryFrom<i32> for ResponseCode {
            type Error = UnknownResponseCode;

            fn try_from(code: i32) -> Result<Self, UnknownResponseCode> {
                match code {
                    $($code => Ok(ResponseCode::$variant),)*
                    _ => Err(UnknownResponseCode(code)),
                }
            }
        }
    };
}

impl From<ResponseCode> for i32 {
    fn from(code: ResponseCode) -> i32 {
        code as i32
    }
}

/// The wire name, such as `TOPIC_NOT_EXIST`.
impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

response_codes! {
    /// Internal RPC: timeout.
    -1006 RpcTimeOut "RPC_TIME_OUT";
    /// Internal RPC: send failed.
    -1004 RpcSendToChannelFailed "RPC_SEND_TO_CHANNEL_FAILED";
    /// Internal RPC: address unknown.
    -1002 RpcAddrIsNull "RPC_ADDR_IS_NULL";
    /// Internal broker-to-broker RPC: unknown failure.
    -1000 RpcUnknown "RPC_UNKNOWN";
    /// The request was carried out.
    0 Success "SUCCESS";
    /// Any server-side failure; text in remark; also the initial code of every response object.
    1 SystemError "SYSTEM_ERROR";
    /// Flow control: queue wait exceeded, thread pool full, page cache busy, processor rejects;
    /// Java clients retry another broker for send.
    2 SystemBusy "SYSTEM_BUSY";
    /// No processor for the code; remark " request type N not supported".
    3 RequestCodeNotSupported "REQUEST_CODE_NOT_SUPPORTED";
    /// Not emitted.
    4 TransactionFailed "TRANSACTION_FAILED";
    /// SYNC_FLUSH not confirmed within syncFlushTimeout; client maps to FLUSH_DISK_TIMEOUT (message
    /// is stored).
    10 FlushDiskTimeout "FLUSH_DISK_TIMEOUT";
    /// End transaction or recall sent to a slave; send answers no longer use it in 5.x (client
    /// would map it to SLAVE_NOT_AVAILABLE = stored).
    11 SlaveNotAvailable "SLAVE_NOT_AVAILABLE";
    /// `inSyncReplicas` acks not in slaveTimeout; client maps to FLUSH_SLAVE_TIMEOUT (message is
    /// stored).
    12 FlushSlaveTimeout "FLUSH_SLAVE_TIMEOUT";
    /// Message refused: body/properties/topic too long, compaction topic without key, batch to
    /// retry topic, illegal ack.
    13 MessageIllegal "MESSAGE_ILLEGAL";
    /// Store not writable, shutting down, or slave write.
    14 ServiceNotAvailable "SERVICE_NOT_AVAILABLE";
    /// Proxy remoting only: client version too old.
    15 VersionNotSupported "VERSION_NOT_SUPPORTED";
    /// Broker/topic/group permission, forbidden subscription, config blacklist, auth failure.
    16 NoPermission "NO_PERMISSION";
    /// Unknown topic (namesrv route, send without auto create, pull, stats).
    17 TopicNotExist "TOPIC_NOT_EXIST";
    /// Not emitted.
    18 TopicExistAlready "TOPIC_EXIST_ALREADY";
    /// Pull/peek: nothing at the offset (long poll ended).
    19 PullNotFound "PULL_NOT_FOUND";
    /// Pull: retry at nextBeginOffset at once (filtered out, message removed, slave redirect).
    20 PullRetryImmediately "PULL_RETRY_IMMEDIATELY";
    /// Pull: offset illegal or reset; client must jump to nextBeginOffset.
    21 PullOffsetMoved "PULL_OFFSET_MOVED";
    /// Query message/KV/consumer offset found nothing.
    22 QueryNotFound "QUERY_NOT_FOUND";
    /// Subscription expression cannot be parsed.
    23 SubscriptionParseFailed "SUBSCRIPTION_PARSE_FAILED";
    /// Group or topic subscription not known to the broker (no heartbeat yet).
    24 SubscriptionNotExist "SUBSCRIPTION_NOT_EXIST";
    /// Request subVersion newer than the heartbeat one.
    25 SubscriptionNotLatest "SUBSCRIPTION_NOT_LATEST";
    /// Subscription group missing (and no auto create).
    26 SubscriptionGroupNotExist "SUBSCRIPTION_GROUP_NOT_EXIST";
    /// No ConsumerFilterData for a SQL subscription.
    27 FilterDataNotExist "FILTER_DATA_NOT_EXIST";
    /// ConsumerFilterData older than request subVersion.
    28 FilterDataNotLatest "FILTER_DATA_NOT_LATEST";
    /// Bad argument: topic/group name, queueId, pop max > 32, system topic.
    29 InvalidParameter "INVALID_PARAMETER";
    /// Not emitted.
    200 TransactionShouldCommit "TRANSACTION_SHOULD_COMMIT";
    /// Not emitted.
    201 TransactionShouldRollback "TRANSACTION_SHOULD_ROLLBACK";
    /// Not emitted.
    202 TransactionStateUnknow "TRANSACTION_STATE_UNKNOW";
    /// Not emitted.
    203 TransactionStateGroupWrong "TRANSACTION_STATE_GROUP_WRONG";
    /// Not emitted; in Java producer retry set.
    204 NoBuyerId "NO_BUYER_ID";
    /// Not emitted; in Java producer retry set.
    205 NotInCurrentUnit "NOT_IN_CURRENT_UNIT";
    /// GET_CONSUMER_CONNECTION_LIST / reset offset: no live consumer.
    206 ConsumerNotOnline "CONSUMER_NOT_ONLINE";
    /// Relay to a client timed out.
    207 ConsumeMsgTimeout "CONSUME_MSG_TIMEOUT";
    /// Ack/change-invisible offset outside the queue or empty batch ack.
    208 NoMessage "NO_MESSAGE";
    /// Pop/notification: too many pending long polls.
    209 PollingFull "POLLING_FULL";
    /// Pop/notification: long poll ended without message or too old.
    210 PollingTimeout "POLLING_TIMEOUT";
    /// Container: broker to remove is absent.
    211 BrokerNotExist "BROKER_NOT_EXIST";
    /// Not emitted.
    212 BrokerDispatchNotComplete "BROKER_DISPATCH_NOT_COMPLETE";
    /// Client-side admin tool result only.
    213 BroadcastConsumption "BROADCAST_CONSUMPTION";
    /// Not emitted by broker; consumers back off longer on it.
    215 FlowControl "FLOW_CONTROL";
    /// Static topic: broker is not leader for the logical queue.
    501 NotLeaderForQueue "NOT_LEADER_FOR_QUEUE";
    /// End transaction later than checkImmunityTime, bad recall handle, lite control without body.
    604 IllegalOperation "ILLEGAL_OPERATION";
    /// Server shutting down, sent to clients of version > 5.3.1 (ordinal 475): reconnect elsewhere
    /// and retry.
    1500 GoAway "GO_AWAY";
    /// Controller: master epoch in request is stale.
    2000 ControllerFencedMasterEpoch "CONTROLLER_FENCED_MASTER_EPOCH";
    /// Controller: syncStateSet epoch is stale.
    2001 ControllerFencedSyncStateSetEpoch "CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH";
    /// Controller: requester is not the master.
    2002 ControllerInvalidMaster "CONTROLLER_INVALID_MASTER";
    /// Controller: replica list invalid.
    2003 ControllerInvalidReplicas "CONTROLLER_INVALID_REPLICAS";
    /// Controller: no master elected.
    2004 ControllerMasterNotAvailable "CONTROLLER_MASTER_NOT_AVAILABLE";
    /// Controller: malformed request.
    2005 ControllerInvalidRequest "CONTROLLER_INVALID_REQUEST";
    /// Controller: broker in request is not alive.
    2006 ControllerBrokerNotAlive "CONTROLLER_BROKER_NOT_ALIVE";
    /// Controller: this node is not raft leader (JRaft forwards).
    2007 ControllerNotLeader "CONTROLLER_NOT_LEADER";
    /// Controller: broker set unknown.
    2008 ControllerBrokerMetadataNotExist "CONTROLLER_BROKER_METADATA_NOT_EXIST";
    /// Controller: clean request illegal (would remove live broker).
    2009 ControllerInvalidCleanBrokerMetadata "CONTROLLER_INVALID_CLEAN_BROKER_METADATA";
    /// Controller: broker must register first.
    2010 ControllerBrokerNeedToBeRegistered "CONTROLLER_BROKER_NEED_TO_BE_REGISTERED";
    /// Controller: elect refused, master still alive.
    2011 ControllerMasterStillExist "CONTROLLER_MASTER_STILL_EXIST";
    /// Controller: election failed.
    2012 ControllerElectMasterFailed "CONTROLLER_ELECT_MASTER_FAILED";
    /// Controller: alter syncStateSet failed.
    2013 ControllerAlterSyncStateSetFailed "CONTROLLER_ALTER_SYNC_STATE_SET_FAILED";
    /// Controller: broker id check failed.
    2014 ControllerBrokerIdInvalid "CONTROLLER_BROKER_ID_INVALID";
    /// Controller: JRaft error.
    2015 ControllerJraftInternalError "CONTROLLER_JRAFT_INTERNAL_ERROR";
    /// Controller: live info missing.
    2016 ControllerBrokerLiveInfoNotExists "CONTROLLER_BROKER_LIVE_INFO_NOT_EXISTS";
    /// 5.5: LMQ queue count quota exceeded on send (enableLmqQuota, maxLmqConsumeQueueNum).
    2017 LmqQuotaExceeded "LMQ_QUOTA_EXCEEDED";
    /// 5.5: lite subscription count quota exceeded.
    2018 LiteSubscriptionQuotaExceeded "LITE_SUBSCRIPTION_QUOTA_EXCEEDED";
    /// Constant only (auth errors come back as 1 or 16).
    3001 UserNotExist "USER_NOT_EXIST";
    /// Constant only.
    3002 PolicyNotExist "POLICY_NOT_EXIST";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_convert_both_ways_and_rise() {
        for pair in ResponseCode::ALL.windows(2) {
            assert!((pair[0] as i32) < pair[1] as i32, "{} before {}", pair[0], pair[1]);
        }
        for &code in ResponseCode::ALL {
            assert_eq!(ResponseCode::try_from(i32::from(code)), Ok(code));
        }
        assert_eq!(ResponseCode::try_from(5), Err(UnknownResponseCode(5)));
    }
}
