//! Replication (907, 1007): what a master without slaves answers.

use std::sync::Arc;

use hypergol_remoting::RemotingCommand;
use hypergol_remoting::protocol::body::ha::HARuntimeInfo;

use super::{Answer, Refusal, json};
use crate::context::Broker;

/// GET_BROKER_HA_STATUS (907): this broker is always a master, and no slave can connect to it yet.
pub fn status(broker: &Arc<Broker>, _: &RemotingCommand) -> Answer {
    let end = broker.store.max_physical_offset();
    json(&HARuntimeInfo { master: true, master_commit_log_max_offset: end, ..Default::default() })
}

/// GET_BROKER_EPOCH_CACHE (1007): epochs are counted in controller mode only, which this broker refuses at the start.
pub fn epochs(_: &Arc<Broker>, _: &RemotingCommand) -> Answer {
    Err(Refusal::failed("this request only for controllerMode "))
}
