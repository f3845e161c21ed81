//! Which handler answers which request.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use hypergol_remoting::protocol::command::RemotingCommand;
use hypergol_remoting::protocol::header::Header;
use hypergol_remoting::protocol::header::route::{
    AddWritePermOfBrokerRequestHeader, DeleteTopicFromNamesrvRequestHeader, RegisterTopicRequestHeader,
    WipeWritePermOfBrokerRequestHeader,
};
use hypergol_remoting::{Channel, ClientTls, RequestCode, Responder, connection};
use parking_lot::Mutex;

use crate::context::Context;
use crate::error::NamesrvError;
use crate::handler::{admin, brokers, route};
use crate::notify::Notifier;
use crate::registry::{Change, Item, Registration, Registry};
use crate::worker::Worker;

/// Bytes of requests that may wait for the registry: some hundred registrations of the largest size.
const REGISTRY_BYTES_MAX: usize = 512 << 20;
/// Requests of administrators that may wait.
const ADMIN_ITEMS_MAX: usize = 1024;
/// Bytes of requests of administrators that may wait.
const ADMIN_BYTES_MAX: usize = 32 << 20;

/// What administrators ask for: slow and rare.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Hands requests to their handlers. Routes are answered on the connection's task, all else in turn on two threads.
pub(crate) struct Dispatcher {
    context: Arc<Context>,
    registry: Worker<Item>,
    admin: Worker<Job>,
    /// Connections that a broker registered on, or tried to.
    of_brokers: Mutex<HashSet<u64>>,
}

impl Dispatcher {
    /// Starts the threads.
    pub(crate) fn start(context: Arc<Context>, tls: Option<Arc<ClientTls>>) -> Result<Self, NamesrvError> {
        let (items_max, idle_max) = {
            let settings = context.config.load();
            let idle = u64::try_from(settings.client.client_channel_max_idle_time_seconds).unwrap_or(0);
            let items = usize::try_from(settings.namesrv.default_thread_pool_queue_capacity).unwrap_or(0);
            (items.max(1), Duration::from_secs(idle.max(1)))
        };
        let mut registry = Registry::new(context.clone(), Notifier::new(idle_max, tls));
        Ok(Self {
            context,
            registry: Worker::start("registry", items_max, REGISTRY_BYTES_MAX, move |item| registry.apply(item))?,
            admin: Worker::start("admin", ADMIN_ITEMS_MAX, ADMIN_BYTES_MAX, |job: Job| job())?,
            of_brokers: Mutex::default(),
        })
    }

    /// Looks for brokers that fell silent.
    pub(crate) fn scan(&self) {
        self.registry.push_always(Item::Scan);
    }

    /// Ends the threads once what waits is done. Blocks.
    pub(crate) fn close(&self) {
        self.registry.close();
        self.admin.close();
    }

    fn register_broker(&self, request: RemotingCommand, responder: Responder) {
        let header = match request.header() {
            Ok(header) => header,
            Err(error) => return refuse(responder, &error.into()),
        };
        let channel = responder.channel().clone();
        self.of_brokers.lock().insert(channel.id());
        let registration = Registration {
            header,
            zone: request.fields.get(route::ZONE_NAME).map(str::to_owned),
            version: request.version,
            body: request.body,
            channel,
        };
        self.change(Change::Register(Box::new(registration)), responder);
    }

    /// Queues what a header says for the registry.
    fn change_by<H: Header>(
        &self,
        request: RemotingCommand,
        responder: Responder,
        change: impl FnOnce(H, RemotingCommand) -> Change,
    ) {
        match request.header() {
            Ok(header) => self.change(change(header, request), responder),
            Err(error) => refuse(responder, &error.into()),
        }
    }

    fn change(&self, change: Change, responder: Responder) {
        let bytes = match &change {
            Change::Register(registration) => registration.body.len(),
            Change::RegisterTopic(_, body) | Change::QueryVersion(_, body) => body.len(),
            _ => 0,
        };
        if let Err(Item::Request(_, responder)) = self.registry.push(bytes, Item::Request(change, responder)) {
            refuse(responder, &NamesrvError::Busy);
        }
    }

    /// Queues what may be slow.
    fn admin(
        &self,
        request: RemotingCommand,
        responder: Responder,
        answer: fn(&Context, RemotingCommand) -> Result<RemotingCommand, NamesrvError>,
    ) {
        let context = self.context.clone();
        let bytes = request.body.len();
        // A job that is dropped drops its responder, which then answers by itself.
        let _ = self.admin.push(bytes, Box::new(move || reply(responder, answer(&context, request))));
    }
}

/// Answers with what a handler gave.
fn reply(responder: Responder, answer: Result<RemotingCommand, NamesrvError>) {
    match answer {
        Ok(answer) => responder.send(answer),
        Err(error) => refuse(responder, &error),
    }
}

fn refuse(responder: Responder, error: &NamesrvError) {
    responder.error(error.code(), error.to_string());
}

impl connection::Handler for Dispatcher {
    fn request(&self, request: RemotingCommand, responder: Responder) {
        let Ok(code) = RequestCode::try_from(request.code) else {
            responder.unsupported();
            return;
        };
        self.dispatch(code, request, responder);
    }

    fn closed(&self, channel: &Channel) {
        if self.of_brokers.lock().remove(&channel.id()) {
            self.registry.push_always(Item::Closed(channel.id()));
        }
    }
}

impl Dispatcher {
    fn dispatch(&self, code: RequestCode, request: RemotingCommand, responder: Responder) {
        use RequestCode as R;
        match code {
            R::GetRouteInfoByTopic => reply(responder, route::get_route(&self.context, &request)),

            R::GetBrokerClusterInfo => reply(responder, Ok(brokers::cluster_info(&self.context))),
            R::GetBrokerMemberGroup => reply(responder, brokers::member_group(&self.context, &request)),
            R::GetSystemTopicListFromNs => reply(responder, Ok(brokers::system_topics(&self.context))),

            R::RegisterBroker => self.register_broker(request, responder),
            R::UnregisterBroker => self.change_by(request, responder, |header, _| Change::Unregister(header)),
            R::BrokerHeartbeat => self.change_by(request, responder, |header, _| Change::Heartbeat(header)),
            R::QueryDataVersion => {
                self.change_by(request, responder, |header, request| Change::QueryVersion(header, request.body));
            }
            R::WipeWritePermOfBroker => {
                self.change_by(request, responder, |header: WipeWritePermOfBrokerRequestHeader, _| {
                    Change::WipeWritePerm(header.broker_name)
                });
            }
            R::AddWritePermOfBroker => {
                self.change_by(request, responder, |header: AddWritePermOfBrokerRequestHeader, _| {
                    Change::AddWritePerm(header.broker_name)
                });
            }
            R::RegisterTopicInNamesrv => {
                self.change_by(request, responder, |header: RegisterTopicRequestHeader, request| {
                    Change::RegisterTopic(header.topic, request.body)
                });
            }
            R::DeleteTopicInNamesrv => {
                self.change_by(request, responder, |header: DeleteTopicFromNamesrvRequestHeader, _| {
                    Change::DeleteTopic(header.topic, header.cluster_name)
                });
            }

            R::PutKvConfig => self.admin(request, responder, admin::put_kv),
            R::GetKvConfig => reply(responder, admin::get_kv(&self.context, &request)),
            R::DeleteKvConfig => self.admin(request, responder, admin::delete_kv),
            R::GetKvListByNamespace => self.admin(request, responder, admin::list_kv),
            R::UpdateNamesrvConfig => self.admin(request, responder, admin::update_config),
            R::GetNamesrvConfig => reply(responder, Ok(admin::get_config(&self.context))),
            R::GetAllTopicListFromNameServer => self.admin(request, responder, admin::all_topics),
            R::GetTopicsByCluster => self.admin(request, responder, admin::topics_of_cluster),
            R::GetUnitTopicList => self.admin(request, responder, admin::unit_topics),
            R::GetHasUnitSubTopicList => self.admin(request, responder, admin::unit_sub_topics),
            R::GetHasUnitSubUnunitTopicList => self.admin(request, responder, admin::unit_sub_ununit_topics),

            // For brokers.
            R::SendMessage
            | R::PullMessage
            | R::QueryMessage
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
            | R::SendMessageV2
            | R::CloneGroupOffset
            | R::ViewBrokerStatsData
            | R::CleanUnusedTopic
            | R::GetBrokerConsumeStats
            | R::SendBatchMessage
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
            | R::LitePullMessage
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
            | R::BatchAckMessage
            // For clients.
            | R::CheckTransactionState
            | R::NotifyConsumerIdsChanged
            | R::ResetConsumerClientOffset
            | R::GetConsumerStatusFromClient
            | R::PushReplyMessageToClient
            | R::NotifyUnsubscribeLite
            // For controllers.
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
            // For broker containers.
            | R::AddBroker
            | R::RemoveBroker
            // Nobody answers these.
            | R::QueryBrokerOffset
            | R::GetTopicConfigList
            | R::GetTopicNameList
            | R::TriggerDeleteFiles
            | R::GetClientConfig
            | R::SuspendConsumer
            | R::ResumeConsumer
            | R::ResetConsumerOffsetInConsumer
            | R::ResetConsumerOffsetInBroker
            | R::AdjustConsumerThreadPool
            | R::WhoConsumeTheMessage
            | R::RegisterFilterServer
            | R::RegisterMessageFilterClass
            | R::BrokerCloseChannelRequest
            | R::CheckNotActiveBrokerRequest
            | R::GetBrokerLiveInfoRequest
            | R::GetSyncStateDataRequest
            | R::RaftBrokerHeartBeatEventRequest
            | R::AckLiteMessage => responder.unsupported(),
        }
    }
}
