//! Spoils requests: fields that are missing, repeated or extreme, texts that mean something elsewhere, damaged bodies.

use hypergol_remoting::RemotingCommand;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Numbers at the edges, and what is none.
const NUMBERS: [&str; 24] = [
    "",
    " ",
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "7",
    "8",
    "32",
    "33",
    "999",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775806",
    "-9223372036854775808",
    "99999999999999999999",
    "1.5",
    "NaN",
    "+3",
];

/// Names of things that the broker keeps for itself, and what is no name.
const NAMES: [&str; 34] = [
    "T",
    "G",
    "nobody",
    "true",
    "false",
    "null",
    "rmq_sys_wheel_timer",
    "SCHEDULE_TOPIC_XXXX",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "rmq_sys_REVIVE_LOG_DefaultCluster",
    "TBW102",
    "%RETRY%G",
    "%RETRY%G+T",
    "%DLQ%G",
    "%LMQ%x",
    "%LMQ%$P$l",
    "%LMQ%x,%LMQ%y,,%LMQ%",
    "..",
    "../../etc",
    "a/b",
    "%",
    "%s%n",
    "a b",
    "{",
    "\"",
    "\\",
    "\u{1}",
    "\u{2}",
    "KEYS\u{1}k\u{2}",
    "größe",
    "\u{1F600}",
    "CID_RMQ_SYS_REVIVE_GROUP",
];

/// Properties that change what becomes of a message.
const PROPERTIES: [&str; 26] = [
    "DELAY",
    "TIMER_DELAY_SEC",
    "TIMER_DELAY_MS",
    "TIMER_DELIVER_MS",
    "TIMER_OUT_MS",
    "TIMER_DEL_UNIQKEY",
    "TIMER_ROLL_TIMES",
    "REAL_TOPIC",
    "REAL_QID",
    "TRAN_MSG",
    "PGROUP",
    "UNIQ_KEY",
    "KEYS",
    "TAGS",
    "INNER_NUM",
    "INNER_BASE",
    "INNER_MULTI_DISPATCH",
    "INNER_MULTI_QUEUE_OFFSET",
    "__LITE_TOPIC",
    "POP_CK",
    "1ST_POP_TIME",
    "RECONSUME_TIME",
    "MAX_RECONSUME_TIMES",
    "CORRELATION_ID",
    "REPLY_TO_CLIENT",
    "_SYS_MSG_PRIORITY_",
];

/// A request that differs from `valid` in one to three places.
pub fn spoil(valid: &RemotingCommand, rng: &mut StdRng) -> RemotingCommand {
    let mut fields: Vec<(String, String)> =
        valid.fields.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut body = valid.body.to_vec();
    for _ in 0..rng.random_range(1..=3) {
        if !body.is_empty() && (fields.is_empty() || rng.random_bool(0.3)) {
            spoil_body(&mut body, rng);
        } else if !fields.is_empty() {
            spoil_field(&mut fields, rng);
        }
    }
    let mut request = valid.clone();
    request.fields = Default::default();
    for (name, value) in fields {
        request.fields.push_str(&name, &value);
    }
    request.with_body(body)
}

fn spoil_field(fields: &mut Vec<(String, String)>, rng: &mut StdRng) {
    let at = rng.random_range(0..fields.len());
    match rng.random_range(0..10) {
        0 => {
            fields.remove(at);
        }
        1 => {
            let repeated = (fields[at].0.clone(), value(rng));
            fields.push(repeated);
        }
        2 => fields[at].1 = fields.choose(rng).map(|(_, other)| other.clone()).unwrap_or_default(),
        // Handles are numbers and names with spaces between, properties have separators of their own.
        3..=5 if fields[at].1.contains([' ', '\u{1}']) => fields[at].1 = spoil_part(&fields[at].1, rng),
        _ => fields[at].1 = value(rng),
    }
}

fn value(rng: &mut StdRng) -> String {
    match rng.random_range(0..20) {
        0..10 => NUMBERS.choose(rng).copied().unwrap_or_default().to_owned(),
        10..18 => NAMES.choose(rng).copied().unwrap_or_default().to_owned(),
        18 => "n".repeat(rng.random_range(100..300)),
        _ => "x".repeat(rng.random_range(30_000..70_000)),
    }
}

/// Changes one part of a text with separators, or adds a property.
fn spoil_part(text: &str, rng: &mut StdRng) -> String {
    let separator = if text.contains('\u{2}') { '\u{2}' } else { ' ' };
    let mut parts: Vec<String> = text.split(separator).map(str::to_owned).collect();
    let at = rng.random_range(0..parts.len());
    if separator == '\u{2}' {
        let name = PROPERTIES.choose(rng).copied().unwrap_or_default();
        let property = format!("{name}\u{1}{}", value(rng));
        if rng.random_bool(0.5) { parts[at] = property } else { parts.insert(at, property) }
    } else {
        match rng.random_range(0..4) {
            0 => {
                parts.remove(at);
            }
            1 => parts.insert(at, value(rng)),
            _ => parts[at] = value(rng),
        }
    }
    parts.join(&separator.to_string())
}

fn spoil_body(body: &mut Vec<u8>, rng: &mut StdRng) {
    if body.is_empty() {
        return;
    }
    let at = rng.random_range(0..body.len());
    match rng.random_range(0..9) {
        0 => body.truncate(at),
        1 => body[at] = rng.random(),
        2 => body[at] ^= 1 << rng.random_range(0..8),
        3 => body.clear(),
        4 => {
            let count = rng.random_range(1..64);
            body.splice(at..at, (0..count).map(|_| rng.random::<u8>()).collect::<Vec<_>>());
        }
        5 => *body = body.repeat(rng.random_range(2..5)),
        // Four bytes that may be a length.
        6 if body.len() >= at + 4 => {
            let number: i32 = [i32::MAX, i32::MIN, -1, 0, 1, rng.random()].choose(rng).copied().unwrap_or_default();
            body[at..at + 4].copy_from_slice(&number.to_be_bytes());
        }
        _ => spoil_number(body, rng),
    }
}

/// Another number, or a text, in place of a number of a JSON body.
fn spoil_number(body: &mut Vec<u8>, rng: &mut StdRng) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    let starts: Vec<usize> = text
        .char_indices()
        .filter(|(at, c)| c.is_ascii_digit() && !text[..*at].ends_with(|c: char| c.is_ascii_digit() || c == '-'))
        .map(|(at, _)| at)
        .collect();
    let Some(&start) = starts.choose(rng) else { return };
    let end = text[start..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |length| start + length);
    let other = value(rng);
    let text = format!("{}{other}{}", &text[..start], &text[end..]);
    *body = text.into_bytes();
}
