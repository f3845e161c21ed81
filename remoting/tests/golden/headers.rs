//! Every header: the frame is decoded, the header read and written again, and the fields must be the same.

use bytes::BytesMut;
use hypergol_remoting::RemotingCommand;
use hypergol_remoting::protocol::codec;
use hypergol_remoting::protocol::command::SerializeType;
use hypergol_remoting::protocol::fields::ExtFields;
use hypergol_remoting::protocol::header::rpc::RpcFields;
use hypergol_remoting::protocol::header::send::SendMessageRequest;
use hypergol_remoting::protocol::header::{Header, HeaderError, NoHeader};
use serde_json::Value;

use crate::{hex, lines, text};

macro_rules! headers {
    ($($family:ident: $($header:ident)*;)*) => {
        /// Reads the header of a class and writes it again; `None` if the class is not known.
        fn copy(class: &str, from: &ExtFields) -> Option<Result<ExtFields, HeaderError>> {
            fn through<H: Header>(from: &ExtFields) -> Result<ExtFields, HeaderError> {
                let mut to = ExtFields::new();
                H::decode(from)?.encode(&mut to);
                Ok(to)
            }
            fn send<'a>(
                request: Result<SendMessageRequest<'a>, HeaderError>,
                encode: fn(&SendMessageRequest<'a>, &mut ExtFields),
            ) -> Result<ExtFields, HeaderError> {
                let mut to = ExtFields::new();
                encode(&request?, &mut to);
                Ok(to)
            }
            Some(match class {
                $($(stringify!($header) => {
                    through::<hypergol_remoting::protocol::header::$family::$header>(from)
                })*)*
                "SendMessageRequestHeader" => {
                    send(SendMessageRequest::decode_v1(from), |request, to| request.encode_v1(to))
                }
                "SendMessageRequestHeaderV2" => {
                    send(SendMessageRequest::decode_v2(from), |request, to| request.encode_v2(to))
                }
                // Headers without fields of their own.
                "UpdateConsumerOffsetResponseHeader" | "CreateTopicListRequestHeader" | "ViewMessageResponseHeader"
                | "HeartbeatRequestHeader" | "UnregisterClientResponseHeader" | "GetConsumerListByGroupResponseHeader"
                | "LockBatchMqRequestHeader" | "UnlockBatchMqRequestHeader" | "GetAllProducerInfoRequestHeader"
                | "LiteSubscriptionCtlRequestHeader" => through::<NoHeader>(from),
                _ => return None,
            })
        }
    };
}

headers! {
        admin: AddBrokerRequestHeader CheckRocksdbCqWriteProgressRequestHeader ExportRocksDBConfigToJsonRequestHeader GetBrokerConfigResponseHeader GetConsumeStatsInBrokerHeader GetConsumeStatsRequestHeader QueryConsumeQueueRequestHeader QueryConsumeTimeSpanRequestHeader RemoveBrokerRequestHeader ViewBrokerStatsDataRequestHeader;
        auth: CreateAclRequestHeader CreateUserRequestHeader DeleteAclRequestHeader DeleteUserRequestHeader GetAclRequestHeader GetUserRequestHeader ListAclsRequestHeader ListUsersRequestHeader UpdateAclRequestHeader UpdateUserRequestHeader;
        client: ConsumeMessageDirectlyResultRequestHeader GetConsumerConnectionListRequestHeader GetConsumerListByGroupRequestHeader GetConsumerRunningInfoRequestHeader GetProducerConnectionListRequestHeader NotifyConsumerIdsChangedRequestHeader UnregisterClientRequestHeader;
        controller: AlterSyncStateSetRequestHeader AlterSyncStateSetResponseHeader ApplyBrokerIdRequestHeader ApplyBrokerIdResponseHeader CleanControllerBrokerDataRequestHeader ElectMasterRequestHeader ElectMasterResponseHeader GetMetaDataResponseHeader GetNextBrokerIdRequestHeader GetNextBrokerIdResponseHeader GetReplicaInfoRequestHeader GetReplicaInfoResponseHeader RegisterBrokerToControllerRequestHeader RegisterBrokerToControllerResponseHeader;
        group: DeleteSubscriptionGroupRequestHeader GetAllSubscriptionGroupRequestHeader GetAllSubscriptionGroupResponseHeader GetSubscriptionGroupConfigRequestHeader QuerySubscriptionByConsumerRequestHeader UpdateGroupForbiddenRequestHeader;
        ha: ExchangeHAInfoRequestHeader ExchangeHAInfoResponseHeader NotifyBrokerRoleChangedRequestHeader NotifyMinBrokerIdChangeRequestHeader ResetMasterFlushOffsetHeader;
        lite: GetLiteClientInfoRequestHeader GetLiteGroupInfoRequestHeader GetLiteTopicInfoRequestHeader GetParentTopicInfoRequestHeader NotifyUnsubscribeLiteRequestHeader PopLiteMessageRequestHeader PopLiteMessageResponseHeader TriggerLiteDispatchRequestHeader;
        offset: CloneGroupOffsetRequestHeader GetConsumerStatusRequestHeader GetEarliestMsgStoretimeRequestHeader GetEarliestMsgStoretimeResponseHeader GetMaxOffsetRequestHeader GetMaxOffsetResponseHeader GetMinOffsetRequestHeader GetMinOffsetResponseHeader QueryConsumerOffsetRequestHeader QueryConsumerOffsetResponseHeader QueryCorrectionOffsetHeader ResetOffsetRequestHeader SearchOffsetRequestHeader SearchOffsetResponseHeader UpdateConsumerOffsetRequestHeader;
        pop: AckMessageRequestHeader ChangeInvisibleTimeRequestHeader ChangeInvisibleTimeResponseHeader NotificationRequestHeader NotificationResponseHeader PeekMessageRequestHeader PollingInfoRequestHeader PollingInfoResponseHeader PopMessageRequestHeader PopMessageResponseHeader;
        pull: ConsumerSendMsgBackRequestHeader PullMessageRequestHeader PullMessageResponseHeader QueryMessageRequestHeader QueryMessageResponseHeader ViewMessageRequestHeader;
        route: AddWritePermOfBrokerRequestHeader AddWritePermOfBrokerResponseHeader BrokerHeartbeatRequestHeader DeleteKVConfigRequestHeader DeleteTopicFromNamesrvRequestHeader GetBrokerMemberGroupRequestHeader GetKVConfigRequestHeader GetKVConfigResponseHeader GetKVListByNamespaceRequestHeader GetRouteInfoRequestHeader GetTopicsByClusterRequestHeader PutKVConfigRequestHeader QueryDataVersionRequestHeader QueryDataVersionResponseHeader RegisterBrokerRequestHeader RegisterBrokerResponseHeader RegisterTopicRequestHeader UnRegisterBrokerRequestHeader WipeWritePermOfBrokerRequestHeader WipeWritePermOfBrokerResponseHeader;
        send: RecallMessageRequestHeader RecallMessageResponseHeader ReplyMessageRequestHeader SendMessageResponseHeader;
        topic: CreateTopicRequestHeader DeleteTopicRequestHeader GetAllTopicConfigRequestHeader GetAllTopicConfigResponseHeader GetTopicConfigRequestHeader GetTopicStatsInfoRequestHeader QueryTopicConsumeByWhoRequestHeader QueryTopicsByConsumerRequestHeader;
        transaction: CheckTransactionStateRequestHeader EndTransactionRequestHeader ResumeCheckHalfMessageRequestHeader;
}

fn command(line: &Value) -> RemotingCommand {
    let frame = hex(text(line, "frame"));
    let frame = codec::cut_frame(&mut BytesMut::from(&frame[..])).unwrap().unwrap();
    codec::decode(frame).unwrap()
}

/// The fields of both, those of `first` counting where both have one.
fn joined(first: &ExtFields, second: &ExtFields) -> ExtFields {
    second.iter().chain(first.iter()).collect()
}

#[test]
fn every_header_of_java_is_read_and_written_with_the_same_fields() {
    let mut seen = 0;
    for line in lines("headers.jsonl") {
        let (class, variant) = (text(&line, "class"), text(&line, "variant"));
        let command = command(&line);
        if text(&line, "direction") == "request" {
            assert_eq!(i64::from(command.code), line["code"].as_i64().unwrap());
        }
        assert_eq!(command.serialize_type == SerializeType::Json, text(&line, "serialize") == "JSON");
        let copied = copy(class, &command.fields).unwrap_or_else(|| panic!("{class} is not known"));
        let own = copied.unwrap_or_else(|error| panic!("{variant}: {error}"));
        let mut inherited = ExtFields::new();
        RpcFields::decode(&command.fields).unwrap().encode(&mut inherited);
        let joined = joined(&own, &inherited);
        if variant != "required" {
            assert_eq!(joined, command.fields, "{class} {variant}");
        }
        // Absent fields with a default are written with it.
        for (key, value) in joined.iter().filter(|(key, _)| command.fields.get(key).is_none()) {
            assert!(matches!(value, "0" | "-1" | "false" | "true" | "LOWER"), "{class} {variant}: {key}={value}");
        }
        for (key, value) in command.fields.iter() {
            assert_eq!(joined.get(key), Some(value), "{class} {variant}: {key}");
        }
        seen += 1;
    }
    assert!(seen > 600, "only {seen} lines");
}

#[test]
fn a_missing_field_is_an_error_only_where_java_needs_it() {
    let fields: ExtFields = [("topic", "T")].into_iter().collect();
    let error = copy("GetMaxOffsetRequestHeader", &fields).unwrap().unwrap_err();
    assert_eq!(error, HeaderError::Missing { header: "GetMaxOffsetRequestHeader", field: "queueId" });
    let fields: ExtFields = [("topic", "T"), ("queueId", "3")].into_iter().collect();
    let copied = copy("GetMaxOffsetRequestHeader", &fields).unwrap().unwrap();
    assert_eq!(copied.get("committed"), Some("true"));
    let fields: ExtFields =
        [("a", "P"), ("b", "T"), ("c", "D"), ("d", "4"), ("e", "0"), ("f", "0"), ("g", "1")].into_iter().collect();
    let error = copy("SendMessageRequestHeaderV2", &fields).unwrap().unwrap_err();
    assert_eq!(error, HeaderError::Missing { header: "SendMessageRequestHeaderV2", field: "h" });
}

#[test]
fn an_ill_typed_field_of_a_send_is_named() {
    let fields: ExtFields = [("a", "P"), ("e", "x")].into_iter().collect();
    let error = SendMessageRequest::decode_v2(&fields).unwrap_err();
    assert!(matches!(error, HeaderError::IllTyped { field: "e", .. }), "{error}");
}
