//! GET_ROUTEINFO_BY_TOPIC: the request that clients live by.

use std::time::Duration;

use bytes::Bytes;
use hypergol_remoting::RemotingCommand;
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::protocol::header::route::GetRouteInfoRequestHeader;

use crate::context::Context;
use crate::error::NamesrvError;
use crate::kv_config::ORDER_TOPIC_CONFIG;
use crate::route::keep_zone;
use crate::topics::RouteForm;

/// Field of requests: the zone of the sender.
pub(crate) const ZONE_NAME: &str = "__ZONE_NAME";
/// Field of requests: whether routes are to keep to the zone.
const ZONE_MODE: &str = "__ZONE_MODE";
/// Version from which on clients want integer keys quoted. V4_9_4.
const VERSION_QUOTED_KEYS: i32 = 401;

/// Answers with the route of a topic.
pub(crate) fn get_route(context: &Context, request: &RemotingCommand) -> Result<RemotingCommand, NamesrvError> {
    let header: GetRouteInfoRequestHeader = request.header()?;
    let settings = context.config.load();
    let config = &settings.namesrv;
    let wait = Duration::from_secs(u64::try_from(config.wait_seconds_for_service).unwrap_or(0));
    if config.need_wait_for_service && context.started.elapsed() < wait {
        return Err(NamesrvError::NotReady);
    }
    let order = || context.kv.get(ORDER_TOPIC_CONFIG, &header.topic);
    let form = RouteForm {
        quoted: request.version >= VERSION_QUOTED_KEYS || header.accept_standard_json_only == Some(true),
        acting_master: config.support_acting_master,
        order: config.order_message_enable.then(|| (context.kv.generation(), &order as &dyn Fn() -> _)),
    };
    let brokers = context.brokers.load();
    let route = match zone(request) {
        None => context.topics.route(&header.topic, &brokers, &form),
        Some(zone) => context.topics.route_data(&header.topic, &brokers, &form).map(|mut route| {
            keep_zone(&mut route, zone);
            Bytes::from(if form.quoted { route.encode_quoted_keys() } else { route.encode() })
        }),
    };
    match route {
        Some(route) => Ok(RemotingCommand::success().with_body(route)),
        None => Err(NamesrvError::TopicNotExist(header.topic)),
    }
}

/// The zone that the sender wants to keep to.
fn zone(request: &RemotingCommand) -> Option<&str> {
    let wanted = request.fields.get(ZONE_MODE)?.eq_ignore_ascii_case("true");
    request.fields.get(ZONE_NAME).filter(|zone| wanted && !zone.trim().is_empty())
}
