//! Timers (60, 61, 5001).

use std::sync::Arc;

use hypergol_remoting::{RemotingCommand, ResponseCode};

use super::{Answer, Refusal};
use crate::context::Broker;

/// Field of SWITCH_TIMER_ENGINE, and its values: RocksDB, and the files of the timer wheel.
const ENGINE: &str = "E_T";
const ENGINE_ROCKSDB: &str = "R";
const ENGINE_WHEEL: &str = "F";

/// GET_TIMER_CHECK_POINT (60): what the file `timercheck` holds.
pub fn checkpoint(broker: &Arc<Broker>, _: &RemotingCommand) -> Answer {
    let timers = broker.timers.as_ref().ok_or_else(|| Refusal::failed("The checkpoint is null"))?;
    Ok(RemotingCommand::success().with_body(timers.checkpoint()))
}

/// GET_TIMER_METRICS (61): how many messages wait for each topic.
pub fn metrics(broker: &Arc<Broker>, _: &RemotingCommand) -> Answer {
    let timers = broker.timers.as_ref().ok_or_else(|| Refusal::failed("The timer message store is null"))?;
    Ok(RemotingCommand::success().with_body(timers.metrics.encode()))
}

/// SWITCH_TIMER_ENGINE (5001): there is the wheel and nothing to switch to.
pub fn switch_engine(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    if broker.timers.is_none() {
        return Err(Refusal::invalid("broker timerWheelEnable is false"));
    }
    match request.fields.get(ENGINE) {
        Some(ENGINE_WHEEL) if broker.config().store.timer_stop_enqueue => {
            Err(Refusal::failed("switch timer engine error"))
        }
        Some(ENGINE_WHEEL) => {
            let mut answer = RemotingCommand::success();
            answer.remark = Some("switch timer engine success".to_owned());
            Ok(answer)
        }
        Some(ENGINE_ROCKSDB) => {
            Err(Refusal::invalid("timerRocksDBEnable must be configured true when broker start; it is not supported"))
        }
        Some(_) => Err(Refusal::new(ResponseCode::InvalidParameter, "param error")),
        None => Err(Refusal::invalid("param error, extFields is null")),
    }
}
