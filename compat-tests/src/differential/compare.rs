//! What of two answers must be alike, and the differences that are meant.

use std::collections::BTreeMap;

use serde_json::Value;

use super::connection::Answer;
use super::records;
use super::request::Request;
use crate::probe;

/// Fields that tell of time, chance, or where in the log something lies.
const VOLATILE_FIELDS: [&str; 7] = [
    "msgId",
    "recallHandle",
    "popTime",
    "indexLastUpdateTimestamp",
    "indexLastUpdatePhyoffset",
    "timestamp",
    "transactionId",
];
/// Properties whose values do.
const VOLATILE_PROPERTIES: [&str; 8] = [
    "POP_CK",
    "1ST_POP_TIME",
    "TIMER_OUT_MS",
    "TRAN_PREPARED_QUEUE_OFFSET",
    "ORIGIN_MESSAGE_ID",
    "CONSUME_START_TIME",
    "TIMER_ENQUEUE_MS",
    "TIMER_DEQUEUE_MS",
];
/// Answers to pulls, whose remark names the outcome (`GetMessageStatus`).
const PULL_CODES: [i64; 4] = [0, 19, 20, 21];

/// A difference that is meant, or not yet gone.
pub struct Known {
    applies: fn(&Request, java: &Answer, ours: &Answer) -> bool,
    /// For the report.
    pub reason: &'static str,
}

/// All of them; the README's "Differences from Java" says more.
pub const KNOWN: [Known; 3] = [
    Known {
        applies: |request, java, ours| {
            matches!(request.code, 200_050 | 200_053 | 200_054 | 200_070)
                && java.code == ours.code
                && ours.code != 0
                && ours.fields.is_empty()
        },
        reason: "what is refused of pops carries no fields of an answer",
    },
    Known {
        applies: |request, java, ours| request.code == 320 && java.code == ours.code && ours.code == SYSTEM_ERROR,
        reason: "a damaged batch is refused with the fields of a refused send",
    },
    Known {
        applies: |_, _, ours| {
            ours.code == SYSTEM_ERROR
                && ["is missing", "is null", "is not an integer", "is not a "]
                    .iter()
                    .any(|text| ours.remark.contains(text))
        },
        reason: "a field that is missing or ill-formed is refused by name",
    },
];
const CHANGE_INVISIBLE_TIME: i32 = 200_053;
/// `KeyBuilder.POP_ORDER_REVIVE_QUEUE`: the queue of checkpoints that a pop in order has not. The others come by turns.
const ORDER_REVIVE_QUEUE: &str = "999";
/// `SYSTEM_ERROR`.
const SYSTEM_ERROR: i64 = 1;

/// What an answer says once everything is taken out of it that differs from server to server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Essence {
    code: i64,
    outcome: Option<String>,
    fields: BTreeMap<String, String>,
    body: String,
}

impl std::fmt::Display for Essence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "code {}", self.code)?;
        if let Some(outcome) = &self.outcome {
            write!(f, " {outcome}")?;
        }
        for (name, value) in &self.fields {
            write!(f, " {name}={value}")?;
        }
        if !self.body.is_empty() {
            write!(f, " body {}", self.body)?;
        }
        Ok(())
    }
}

/// Reduces an answer to what must be alike.
pub fn essence(request: &Request, answer: &Answer) -> Essence {
    let is_pull = matches!(request.code, 11 | 361);
    let fields = answer
        .fields
        .iter()
        .map(|(name, value)| {
            // Checkpoints of pops share the queue of timer messages, and when they are written is a matter of time.
            let is_timer = name == "queueOffset" && answer.fields.contains_key("recallHandle");
            let in_order = answer.fields.get("reviveQid").is_some_and(|queue| queue == ORDER_REVIVE_QUEUE);
            // Counted from the pop to the change.
            let is_changed = name == "invisibleTime" && in_order && request.code == CHANGE_INVISIBLE_TIME;
            let is_volatile = match name.as_str() {
                "reviveQid" => !in_order,
                name => is_timer || is_changed || VOLATILE_FIELDS.contains(&name),
            };
            let value = match name.as_str() {
                _ if is_volatile => "…".to_owned(),
                "orderCountInfo" => sorted(value),
                _ => value.clone(),
            };
            (name.clone(), value)
        })
        .collect();
    Essence {
        code: answer.code,
        outcome: (is_pull && PULL_CODES.contains(&answer.code)).then(|| answer.remark.clone()),
        fields,
        body: body(&answer.body),
    }
}

/// Entries that Java takes from a hash table.
fn sorted(entries: &str) -> String {
    let mut entries: Vec<&str> = entries.split(';').collect();
    entries.sort_unstable();
    entries.join(";")
}

fn body(bytes: &[u8]) -> String {
    if let Some(records) = records::parse_all(bytes).filter(|records| !records.is_empty()) {
        let lines: Vec<String> = records.iter().map(|record| record.describe(&VOLATILE_PROPERTIES)).collect();
        return lines.join("\n");
    }
    let text = String::from_utf8_lossy(bytes);
    match serde_json::from_str::<Value>(&probe::quote_number_keys(&text)) {
        Ok(mut value) => {
            sort(&mut value);
            hide_addresses(&mut value);
            value.to_string()
        }
        Err(_) => text.into_owned(),
    }
}

/// Lists are sets in Java, in the order of its hash tables.
fn sort(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(sort);
            items.sort_by_key(ToString::to_string);
        }
        Value::Object(fields) => fields.values_mut().for_each(sort),
        _ => {}
    }
}

/// The addresses of brokers in a route.
fn hide_addresses(route: &mut Value) {
    for broker in route.get_mut("brokerDatas").and_then(Value::as_array_mut).into_iter().flatten() {
        for (_, address) in broker.get_mut("brokerAddrs").and_then(Value::as_object_mut).into_iter().flatten() {
            *address = Value::from("…");
        }
    }
}

/// Why these answers may differ.
pub fn known(request: &Request, java: &Answer, ours: &Answer) -> Option<&'static str> {
    KNOWN.iter().find(|known| (known.applies)(request, java, ours)).map(|known| known.reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::script::Script;

    fn answer(code: i64, remark: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Answer { code, remark: remark.to_owned(), fields, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn what_must_differ_does_not_count() {
        let request = &Script::preparations()[0];
        let one = answer(0, "a", &[("msgId", "01"), ("queueId", "3")], r#"{"consumerIdList":["b","a"]}"#);
        let other = answer(0, "b", &[("msgId", "02"), ("queueId", "3")], r#"{"consumerIdList":["a","b"]}"#);
        assert_eq!(essence(request, &one), essence(request, &other));
    }

    #[test]
    fn pops_in_order_are_told_by_their_revive_queue() {
        let mut request = Script::preparations()[0].clone();
        request.code = CHANGE_INVISIBLE_TIME;
        let change = |queue, time, counts| {
            let fields = [("reviveQid", queue), ("invisibleTime", time), ("orderCountInfo", counts)];
            essence(&request, &answer(0, "", &fields, ""))
        };
        assert_eq!(change("999", "12", "0 1 0;0 2 1"), change("999", "13", "0 2 1;0 1 0"));
        assert_eq!(change("1", "12", ""), change("2", "12", ""));
        assert_ne!(change("1", "12", ""), change("1", "13", ""));
        assert_ne!(change("999", "0", ""), change("0", "0", ""));
    }

    #[test]
    fn what_must_be_alike_counts() {
        let request = &Script::preparations()[0];
        let one = essence(request, &answer(0, "", &[("queueId", "3")], "{}"));
        for other in [
            answer(1, "", &[("queueId", "3")], "{}"),
            answer(0, "", &[("queueId", "4")], "{}"),
            answer(0, "", &[], "{}"),
            answer(0, "", &[("queueId", "3")], r#"{"a":1}"#),
        ] {
            assert_ne!(one, essence(request, &other));
        }
    }
}
