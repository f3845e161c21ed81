//! Names of topics and groups: which are legal, which belong to the system.
//!
//! Every name that comes from outside passes here before it becomes part of a path. Java: `TopicValidator`, `MixAll`.

/// Topic whose settings a new topic inherits when it is created by sending to it.
pub const AUTO_CREATE_TOPIC: &str = "TBW102";
/// Topic that holds delayed messages; a queue for each delay level.
pub const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// Topic of the timer wheel.
pub const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";
/// Topic of messages whose transaction is undecided.
pub const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
/// Topic of the decisions about half messages.
pub const HALF_OP_TOPIC: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
/// As [`HALF_TOPIC`], of the RocksDB variant.
pub const ROCKSDB_HALF_TOPIC: &str = "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC";
/// As [`HALF_OP_TOPIC`], of the RocksDB variant.
pub const ROCKSDB_HALF_OP_TOPIC: &str = "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC";
/// Topic of half messages that were checked in vain.
pub const CHECK_MAX_TIME_TOPIC: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
/// Topic of the broker's test of itself.
pub const SELF_TEST_TOPIC: &str = "SELF_TEST_TOPIC";
/// Topic of the benchmark tools.
pub const BENCHMARK_TOPIC: &str = "BenchmarkTest";
/// Topic of events about offsets that moved.
pub const OFFSET_MOVED_TOPIC: &str = "OFFSET_MOVED_EVENT";
/// Topic of message traces.
pub const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";
/// Topic that marks the RocksDB consume queue's offsets.
pub const CHECKPOINT_TOPIC: &str = "CHECKPOINT_TOPIC";
/// Every topic that starts so belongs to the system.
pub const SYSTEM_TOPIC_PREFIX: &str = "rmq_sys_";
/// Every group that starts so belongs to the system.
pub const SYSTEM_GROUP_PREFIX: &str = "CID_RMQ_SYS_";
/// Prefix of retry topics.
const RETRY_PREFIX: &str = "%RETRY%";
/// Prefix of dead-letter topics.
const DEAD_LETTER_PREFIX: &str = "%DLQ%";

/// Longest topic, in characters.
const TOPIC_MAX: usize = 127;
/// Longest retry or dead-letter topic.
const RETRY_TOPIC_MAX: usize = 255;
/// Longest group: it must fit into the name of its retry topics.
const GROUP_MAX: usize = 120;

/// Topics of the system whose names do not depend on the configuration.
pub const SYSTEM_TOPICS: [&str; 12] = [
    AUTO_CREATE_TOPIC,
    SCHEDULE_TOPIC,
    BENCHMARK_TOPIC,
    HALF_TOPIC,
    TRACE_TOPIC,
    HALF_OP_TOPIC,
    CHECK_MAX_TIME_TOPIC,
    SELF_TEST_TOPIC,
    OFFSET_MOVED_TOPIC,
    CHECKPOINT_TOPIC,
    ROCKSDB_HALF_TOPIC,
    ROCKSDB_HALF_OP_TOPIC,
];

/// Whether clients may not send to `topic`.
pub fn is_forbidden_to_send(topic: &str) -> bool {
    matches!(
        topic,
        SCHEDULE_TOPIC
            | HALF_TOPIC
            | HALF_OP_TOPIC
            | CHECK_MAX_TIME_TOPIC
            | SELF_TEST_TOPIC
            | OFFSET_MOVED_TOPIC
            | ROCKSDB_HALF_TOPIC
            | ROCKSDB_HALF_OP_TOPIC
    )
}

/// Whether `group` belongs to the system. Java: `MixAll.isSysConsumerGroup`.
pub fn is_system_group(group: &str) -> bool {
    group.starts_with(SYSTEM_GROUP_PREFIX)
}

/// Says in Java's words what is wrong with the name of a topic.
pub fn check_topic(topic: &str) -> Result<(), String> {
    if is_legal(topic) && topic.len() <= TOPIC_MAX {
        return Ok(());
    }
    if topic.trim().is_empty() {
        return Err("The specified topic is blank.".to_owned());
    }
    if !is_legal(topic) {
        return Err(format!(
            "The specified topic: {topic}, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$"
        ));
    }
    if topic.starts_with(RETRY_PREFIX) || topic.starts_with(DEAD_LETTER_PREFIX) {
        if topic.len() > RETRY_TOPIC_MAX {
            return Err(format!(
                "The specified topic is DLQ or Retry topic: {topic}, and it's longer than topic max length: \
                 {RETRY_TOPIC_MAX}"
            ));
        }
        return Ok(());
    }
    Err(format!("The specified topic: {topic}, is longer than topic max length: {TOPIC_MAX}"))
}

/// The same for a topic that exists already: the broker itself makes retry topics `%RETRY%group+topic`.
pub fn check_existing_topic(topic: &str) -> Result<(), String> {
    match topic.strip_prefix(RETRY_PREFIX).and_then(|rest| rest.split_once('+')) {
        Some((group, of)) if topic.len() <= RETRY_TOPIC_MAX => check_group(group).and_then(|()| check_topic(of)),
        _ => check_topic(topic),
    }
}

/// Says in Java's words what is wrong with the name of a group.
pub fn check_group(group: &str) -> Result<(), String> {
    if group.trim().is_empty() {
        return Err("The specified group is blank.".to_owned());
    }
    if !is_legal(group) {
        return Err(format!(
            "The specified group: {group}, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$"
        ));
    }
    if group.len() > GROUP_MAX {
        return Err(format!("The specified group: {group}, is longer than group max length: {GROUP_MAX}"));
    }
    Ok(())
}

/// Legal characters exclude `/`, `\`, `.` and everything that is not ASCII, so a legal name is one path component.
fn is_legal(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'%' | b'|' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        for name in ["", " ", ".", "..", "../x", "a/b", "a\\b", "a.b", "a b", "名", "a\0b", "a\u{1}b"] {
            assert!(check_topic(name).is_err(), "{name:?}");
            assert!(check_group(name).is_err(), "{name:?}");
        }
        assert_eq!(check_existing_topic("%RETRY%g+t"), Ok(()));
        for name in ["%RETRY%g+t+u", "%RETRY%+t", "%RETRY%g+", "%RETRY%g+../x", "%RETRY%a.b+t", "g+t", "a/b"] {
            assert!(check_existing_topic(name).is_err(), "{name:?}");
        }
        for name in ["T", "%RETRY%g", "a-b_c|d%e", "TBW102"] {
            assert_eq!(check_topic(name), Ok(()), "{name:?}");
            assert_eq!(check_group(name), Ok(()), "{name:?}");
        }
    }

    #[test]
    fn lengths_are_bounded() {
        assert!(check_topic(&"t".repeat(127)).is_ok());
        assert_eq!(
            check_topic(&"t".repeat(128)).unwrap_err(),
            format!("The specified topic: {}, is longer than topic max length: 127", "t".repeat(128))
        );
        assert!(check_topic(&format!("%RETRY%{}", "g".repeat(248))).is_ok());
        assert!(check_topic(&format!("%DLQ%{}", "g".repeat(251))).is_err());
        assert!(check_group(&"g".repeat(120)).is_ok());
        assert!(check_group(&"g".repeat(121)).is_err());
    }
}
