//! Which handler answers which request.

use std::sync::Arc;

use hypergol_remoting::{Channel, RemotingCommand, RequestCode, Responder, connection};

use crate::context::Broker;
use crate::handler::{pull, send};

/// The ports of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// `listenPort`: everything.
    Main,
    /// `listenPort - 2`, for producers and administrators: no pulls and pops (Java's VIP channel).
    Fast,
}

/// Hands the requests of one port to their handlers.
pub struct Dispatcher {
    broker: Arc<Broker>,
    port: Port,
}

impl Dispatcher {
    /// For the connections of `port`.
    pub fn new(broker: Arc<Broker>, port: Port) -> Self {
        Self { broker, port }
    }
}

impl connection::Handler for Dispatcher {
    fn request(&self, request: RemotingCommand, responder: Responder) {
        let Ok(code) = RequestCode::try_from(request.code) else {
            responder.unsupported();
            return;
        };
        if self.port == Port::Fast && !on_fast_port(code) {
            responder.unsupported();
            return;
        }
        dispatch(&self.broker, code, request, responder);
    }

    fn closed(&self, _channel: &Channel) {}
}

/// Java registers these for the main port only (`BrokerController.registerProcessor`).
fn on_fast_port(code: RequestCode) -> bool {
    !matches!(
        code,
        RequestCode::PullMessage
            | RequestCode::LitePullMessage
            | RequestCode::PopMessage
            | RequestCode::PeekMessage
            | RequestCode::Notification
            | RequestCode::PollingInfo
            | RequestCode::PopLiteMessage
    )
}

#[allow(clippy::match_same_arms, reason = "groups differ in why nobody answers")]
fn dispatch(broker: &Arc<Broker>, code: RequestCode, request: RemotingCommand, responder: Responder) {
    use RequestCode as R;
    match code {
        R::SendMessage | R::SendMessageV2 | R::SendBatchMessage => send::send(broker, code, request, responder),
        R::PullMessage | R::LitePullMessage => pull::pull(broker, request, responder),
        // Not served yet.
        R::QueryMessage
        | R::QueryConsumerOffset
        | R::UpdateConsumerOffset
        | R::UpdateAndCreateTopic
        | R::UpdateAndCreateTopicList
        | R::GetAllTopicConfig
        | R::UpdateBrokerConfig
        | R::GetBrokerConfig
        | R::GetBrokerRuntimeInfo
        | R::SearchOffsetByTimestamp
        | R::GetMaxOffset
        | R::GetMinOffset
        | R::GetEarliestMsgStoreTime
        | R::ViewMessageById
        | R::HeartBeat
        | R::UnregisterClient
        | R::ConsumerSendMsgBack
        | R::EndTransaction
        | R::GetConsumerListByGroup
        | R::LockBatchMq
        | R::UnlockBatchMq
        | R::GetAllConsumerOffset
        | R::GetAllDelayOffset
        | R::CheckClientConfig
        | R::GetTimerCheckPoint
        | R::GetTimerMetrics
        | R::UpdateAndCreateSubscriptionGroup
        | R::GetAllSubscriptionGroupConfig
        | R::GetTopicStatsInfo
        | R::GetConsumerConnectionList
        | R::GetProducerConnectionList
        | R::DeleteSubscriptionGroup
        | R::GetConsumeStats
        | R::DeleteTopicInBroker
        | R::InvokeBrokerToResetOffset
        | R::InvokeBrokerToGetConsumerStatus
        | R::UpdateAndCreateSubscriptionGroupList
        | R::QueryTopicConsumeByWho
        | R::QueryConsumeTimeSpan
        | R::GetSystemTopicListFromBroker
        | R::CleanExpiredConsumeQueue
        | R::GetConsumerRunningInfo
        | R::QueryCorrectionOffset
        | R::ConsumeMessageDirectly
        | R::CloneGroupOffset
        | R::ViewBrokerStatsData
        | R::CleanUnusedTopic
        | R::GetBrokerConsumeStats
        | R::QueryConsumeQueue
        | R::ResumeCheckHalfMessage
        | R::SendReplyMessage
        | R::SendReplyMessageV2
        | R::GetAllProducerInfo
        | R::DeleteExpiredCommitLog
        | R::QueryTopicsByConsumer
        | R::QuerySubscriptionByConsumer
        | R::GetTopicConfig
        | R::GetSubscriptionGroupConfig
        | R::UpdateAndGetGroupForbidden
        | R::CheckRocksDbCqWriteProgress
        | R::ExportRocksDbConfigToJson
        | R::RecallMessage
        | R::QueryAssignment
        | R::SetMessageRequestMode
        | R::GetAllMessageRequestMode
        | R::UpdateAndCreateStaticTopic
        | R::NotifyMinBrokerIdChange
        | R::ExchangeBrokerHaInfo
        | R::GetBrokerHaStatus
        | R::ResetMasterFlushOffset
        | R::GetBrokerEpochCache
        | R::NotifyBrokerRoleChanged
        | R::UpdateColdDataFlowCtrConfig
        | R::RemoveColdDataFlowCtrConfig
        | R::GetColdDataFlowCtrInfo
        | R::SetCommitLogReadMode
        | R::AuthCreateUser
        | R::AuthUpdateUser
        | R::AuthDeleteUser
        | R::AuthGetUser
        | R::AuthListUser
        | R::AuthCreateAcl
        | R::AuthUpdateAcl
        | R::AuthDeleteAcl
        | R::AuthGetAcl
        | R::AuthListAcl
        | R::SwitchTimerEngine
        | R::PopMessage
        | R::AckMessage
        | R::PeekMessage
        | R::ChangeMessageInvisibleTime
        | R::Notification
        | R::PollingInfo
        | R::PopRollback
        | R::PopLiteMessage
        | R::LiteSubscriptionCtl
        | R::GetBrokerLiteInfo
        | R::GetParentTopicInfo
        | R::GetLiteTopicInfo
        | R::GetLiteClientInfo
        | R::GetLiteGroupInfo
        | R::TriggerLiteDispatch
        | R::BatchAckMessage => responder.unsupported(),
        // Not for brokers: Java answers 3 as well.
        R::QueryBrokerOffset
        | R::GetTopicConfigList
        | R::GetTopicNameList
        | R::TriggerDeleteFiles
        | R::CheckTransactionState
        | R::NotifyConsumerIdsChanged
        | R::GetClientConfig
        | R::PutKvConfig
        | R::GetKvConfig
        | R::DeleteKvConfig
        | R::RegisterBroker
        | R::UnregisterBroker
        | R::GetRouteInfoByTopic
        | R::GetBrokerClusterInfo
        | R::WipeWritePermOfBroker
        | R::GetAllTopicListFromNameServer
        | R::SuspendConsumer
        | R::ResumeConsumer
        | R::ResetConsumerOffsetInConsumer
        | R::ResetConsumerOffsetInBroker
        | R::AdjustConsumerThreadPool
        | R::WhoConsumeTheMessage
        | R::DeleteTopicInNamesrv
        | R::RegisterTopicInNamesrv
        | R::GetKvListByNamespace
        | R::ResetConsumerClientOffset
        | R::GetConsumerStatusFromClient
        | R::GetTopicsByCluster
        | R::RegisterFilterServer
        | R::RegisterMessageFilterClass
        | R::GetSystemTopicListFromNs
        | R::GetUnitTopicList
        | R::GetHasUnitSubTopicList
        | R::GetHasUnitSubUnunitTopicList
        | R::UpdateNamesrvConfig
        | R::GetNamesrvConfig
        | R::QueryDataVersion
        | R::PushReplyMessageToClient
        | R::AddWritePermOfBroker
        | R::GetBrokerMemberGroup
        | R::AddBroker
        | R::RemoveBroker
        | R::BrokerHeartbeat
        | R::ControllerAlterSyncStateSet
        | R::ControllerElectMaster
        | R::ControllerRegisterBroker
        | R::ControllerGetReplicaInfo
        | R::ControllerGetMetadataInfo
        | R::ControllerGetSyncStateData
        | R::UpdateControllerConfig
        | R::GetControllerConfig
        | R::CleanBrokerData
        | R::ControllerGetNextBrokerId
        | R::ControllerApplyBrokerId
        | R::BrokerCloseChannelRequest
        | R::CheckNotActiveBrokerRequest
        | R::GetBrokerLiveInfoRequest
        | R::GetSyncStateDataRequest
        | R::RaftBrokerHeartBeatEventRequest
        | R::AckLiteMessage
        | R::NotifyUnsubscribeLite => responder.unsupported(),
    }
}
