//! Which handler answers which request.

use std::sync::Arc;

use hypergol_remoting::{Channel, RemotingCommand, RequestCode, Responder, connection};

use crate::clients;
use crate::context::Broker;
use crate::handler::{
    admin, assignment, client, consumer, end_transaction, lite, logical_queue, pop, pull, query, recall, reply, send,
    send_back,
};

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

    fn resumed(&self, request: RemotingCommand, responder: Responder) {
        // A pull waits once; pops and notifications are the same each time.
        match RequestCode::try_from(request.code) {
            Ok(RequestCode::PullMessage | RequestCode::LitePullMessage) => {
                pull::resume(&self.broker, request, responder);
            }
            _ => self.request(request, responder),
        }
    }

    fn turn_ended(&self) {
        self.broker.store.dispatch();
    }

    fn closed(&self, channel: &Channel) {
        clients::closed(&self.broker, channel);
    }
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
        R::PopMessage => pop::take::pop(broker, request, responder),
        R::AckMessage => pop::ack::ack(broker, &request, responder),
        R::BatchAckMessage => pop::ack::batch_ack(broker, &request, responder),
        R::ChangeMessageInvisibleTime => pop::invisible_time::change(broker, &request, responder),
        R::Notification => pop::notification::notify(broker, request, responder),
        R::PollingInfo => pop::polling_info::polling_info(broker, &request, responder),
        R::PeekMessage => pop::peek::peek(broker, &request, responder),
        R::PopLiteMessage => lite::pop::pop(broker, request, responder),
        R::LiteSubscriptionCtl => lite::subscribe::control(broker, request, responder),
        R::GetBrokerLiteInfo => admin::blocking(broker, request, responder, lite::admin::of_broker),
        R::GetParentTopicInfo => admin::blocking(broker, request, responder, lite::admin::of_parent),
        R::GetLiteTopicInfo => lite::admin::of_lite_topic(broker, &request, responder),
        R::GetLiteClientInfo => admin::at_once(broker, &request, responder, lite::admin::of_client),
        R::GetLiteGroupInfo => admin::blocking(broker, request, responder, lite::admin::of_group),
        R::TriggerLiteDispatch => admin::blocking(broker, request, responder, lite::admin::trigger_dispatch),
        R::UpdateAndCreateTopic => admin::topic::update(broker, &request, responder),
        R::UpdateAndCreateTopicList => admin::topic::update_list(broker, &request, responder),
        R::UpdateAndCreateStaticTopic => admin::static_topic::update(broker, &request, responder),
        R::DeleteTopicInBroker => admin::topic::delete(broker, &request, responder),
        R::GetAllTopicConfig => admin::topic::all(broker, &request, responder),
        R::GetTopicConfig => admin::at_once(broker, &request, responder, admin::topic::one),
        R::GetTopicStatsInfo => admin::topic::stats(broker, &request, responder),
        R::GetSystemTopicListFromBroker => admin::at_once(broker, &request, responder, admin::topic::system),
        R::UpdateAndCreateSubscriptionGroup => admin::group::update(broker, &request, responder),
        R::UpdateAndCreateSubscriptionGroupList => admin::group::update_list(broker, &request, responder),
        R::DeleteSubscriptionGroup => admin::group::delete(broker, &request, responder),
        R::GetAllSubscriptionGroupConfig => admin::group::all(broker, &request, responder),
        R::GetSubscriptionGroupConfig => admin::at_once(broker, &request, responder, admin::group::one),
        R::UpdateAndGetGroupForbidden => admin::at_once(broker, &request, responder, admin::group::forbidden),
        R::GetMaxOffset
        | R::GetMinOffset
        | R::SearchOffsetByTimestamp
        | R::GetEarliestMsgStoreTime
        | R::QueryConsumerOffset
        | R::UpdateConsumerOffset
            if logical_queue::concerns(broker, &request) =>
        {
            logical_queue::serve(broker, code, request, responder);
        }
        R::GetMaxOffset => admin::at_once(broker, &request, responder, admin::offset::max),
        R::GetMinOffset => admin::at_once(broker, &request, responder, admin::offset::min),
        R::SearchOffsetByTimestamp => admin::blocking(broker, request, responder, admin::offset::by_time),
        R::GetEarliestMsgStoreTime => admin::blocking(broker, request, responder, admin::offset::earliest_time),
        R::GetAllConsumerOffset => admin::blocking(broker, request, responder, admin::offset::all_of_consumers),
        R::GetAllDelayOffset => admin::blocking(broker, request, responder, admin::offset::all_of_delay_levels),
        R::QueryCorrectionOffset => admin::blocking(broker, request, responder, admin::offset::correction),
        R::CloneGroupOffset => admin::at_once(broker, &request, responder, admin::offset::clone_group),
        R::QueryConsumeQueue => admin::blocking(broker, request, responder, admin::offset::consume_queue),
        R::InvokeBrokerToResetOffset => admin::reset::reset(broker, &request, responder),
        R::InvokeBrokerToGetConsumerStatus => admin::reset::status(broker, &request, responder),
        R::GetConsumerRunningInfo => admin::relay::running_info(broker, request, responder),
        R::ConsumeMessageDirectly => admin::relay::consume_directly(broker, request, responder),
        R::GetConsumerConnectionList => {
            admin::at_once(broker, &request, responder, admin::connections::of_consumers);
        }
        R::GetProducerConnectionList => {
            admin::at_once(broker, &request, responder, admin::connections::of_producers);
        }
        R::GetAllProducerInfo => admin::at_once(broker, &request, responder, admin::connections::all_producers),
        R::QueryTopicConsumeByWho => {
            admin::at_once(broker, &request, responder, admin::connections::groups_of_topic);
        }
        R::QueryTopicsByConsumer => {
            admin::at_once(broker, &request, responder, admin::connections::topics_of_group);
        }
        R::QuerySubscriptionByConsumer => {
            admin::at_once(broker, &request, responder, admin::connections::subscription);
        }
        R::GetConsumeStats => admin::blocking(broker, request, responder, admin::consume_stats::of_group),
        R::GetBrokerConsumeStats => admin::blocking(broker, request, responder, admin::consume_stats::of_broker),
        R::QueryConsumeTimeSpan => admin::blocking(broker, request, responder, admin::consume_stats::time_span),
        R::ViewBrokerStatsData => admin::at_once(broker, &request, responder, admin::consume_stats::view),
        R::UpdateBrokerConfig => admin::blocking(broker, request, responder, admin::config::update),
        R::GetBrokerConfig => admin::at_once(broker, &request, responder, admin::config::get),
        R::GetBrokerRuntimeInfo => admin::blocking(broker, request, responder, admin::store::runtime_info),
        R::CleanExpiredConsumeQueue => {
            admin::blocking(broker, request, responder, admin::store::clean_expired_queues);
        }
        R::DeleteExpiredCommitLog => {
            admin::blocking(broker, request, responder, admin::store::delete_expired_commit_log);
        }
        R::CleanUnusedTopic => admin::blocking(broker, request, responder, admin::store::clean_unused_topics),
        R::GetBrokerHaStatus => admin::at_once(broker, &request, responder, admin::ha::status),
        R::GetBrokerEpochCache => admin::at_once(broker, &request, responder, admin::ha::epochs),
        R::HeartBeat => client::heart_beat(broker, request, responder),
        R::UnregisterClient => client::unregister_client(broker, request, responder),
        R::CheckClientConfig => client::check_client_config(broker, request, responder),
        R::GetConsumerListByGroup => consumer::consumer_list(broker, request, responder),
        R::QueryConsumerOffset => consumer::query_offset(broker, request, responder),
        R::UpdateConsumerOffset => consumer::update_offset(broker, request, responder),
        R::LockBatchMq => consumer::lock_queues(broker, request, responder),
        R::UnlockBatchMq => consumer::unlock_queues(broker, request, responder),
        R::QueryAssignment => assignment::query_assignment(broker, request, responder),
        R::SetMessageRequestMode => assignment::set_request_mode(broker, request, responder),
        R::GetAllMessageRequestMode => assignment::all_request_modes(broker, request, responder),
        R::QueryMessage => query::query_message(broker, request, responder),
        R::ViewMessageById => query::view_message(broker, request, responder),
        R::ConsumerSendMsgBack => send_back::send_back(broker, request, responder),
        R::RecallMessage => recall::recall(broker, request, responder),
        R::GetTimerCheckPoint => admin::at_once(broker, &request, responder, admin::timer::checkpoint),
        R::GetTimerMetrics => admin::blocking(broker, request, responder, admin::timer::metrics),
        R::SwitchTimerEngine => admin::at_once(broker, &request, responder, admin::timer::switch_engine),
        R::EndTransaction => end_transaction::end(broker, request, responder),
        R::ResumeCheckHalfMessage => end_transaction::resume_check(broker, request, responder),
        R::SendReplyMessage | R::SendReplyMessageV2 => reply::reply(broker, code, request, responder),
        // Not served yet.
        R::CheckRocksDbCqWriteProgress
        | R::ExportRocksDbConfigToJson
        | R::NotifyMinBrokerIdChange
        | R::ExchangeBrokerHaInfo
        | R::ResetMasterFlushOffset
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
        | R::PopRollback => responder.unsupported(),
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
