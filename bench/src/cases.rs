//! Every case that is measured: load, settings of the servers, length, goals. All else follows from this table.
//!
//! Settings are the defaults that users get; a group differs from them only by its [`Durability`]. Lengths are chosen so
//! that everything, at two rounds, takes less than an hour on two cores.

use serde::Serialize;

const KIB: u32 = 1024;
const GIB: u64 = 1 << 30;
/// Queues of a topic where a case does not say otherwise (`defaultTopicQueueNums`).
pub const QUEUES: u32 = 8;
/// The closed loop that saturates: what "half of Java's saturation" refers to.
pub const SATURATED: &str = "send/1KiB/512x16";

/// When a send is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Durability {
    /// `flushDiskType=ASYNC_FLUSH`, the default: in the page cache.
    #[serde(rename = "ASYNC_FLUSH")]
    Async,
    /// `flushDiskType=SYNC_FLUSH`: on disk.
    #[serde(rename = "SYNC_FLUSH")]
    Sync,
}

impl Durability {
    /// The value of the key `flushDiskType`.
    pub fn key_value(self) -> &'static str {
        match self {
            Self::Async => "ASYNC_FLUSH",
            Self::Sync => "SYNC_FLUSH",
        }
    }
}

/// Cases that share a started server.
#[derive(Clone, Debug)]
pub struct Group {
    /// For progress lines and headings.
    pub name: &'static str,
    /// Of the broker.
    pub durability: Durability,
    /// Which server is measured.
    pub subject: Subject,
    /// At most so many rounds, whatever is asked for: cases of minutes.
    pub rounds_max: u32,
    /// In this order.
    pub cases: Vec<Case>,
}

/// The server that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A broker that is registered at a name server of its own family.
    Broker,
    /// A name server alone.
    Namesrv,
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Case {
    /// `FAMILY/VARIANT…`, as `--cases` selects it; IN-FLIGHTxCONNECTIONS where both count.
    pub name: String,
    /// What is done.
    pub work: Work,
    /// Length of the measured window where the work has one.
    pub seconds: u32,
    /// What must hold.
    pub goals: Vec<Goal>,
    /// Also against the null server: same network layer, nothing stored.
    pub null: bool,
}

/// What is done in a case.
#[derive(Clone, Debug)]
pub enum Work {
    /// Messages are sent.
    Send(Send),
    /// Messages are sent at a rate and read by long polling; latency is end to end.
    Tail(Rate),
    /// Consumers with nothing to read hold a long poll each, beside sends at a rate to another topic.
    Hold {
        /// Connections, groups and held pulls.
        consumers: u32,
        /// Messages per second.
        rate: u32,
    },
    /// A backlog of `messages` messages of 1 KiB is read from the start.
    Drain {
        /// Length of the backlog.
        messages: u64,
        /// The broker is restarted and the page cache dropped first.
        cold: bool,
        /// Sends meanwhile, which are then what is measured; the backlog is read from when they are measured on.
        beside: Option<Send>,
    },
    /// Sends over a topic of this many queues, at least one message into each; then memory at rest.
    Queues(u32),
    /// Route queries over this many topics.
    Route(u32),
    /// A log is filled to `bytes`, the broker ended in the middle of nothing or at once after sends, and started again.
    Restart {
        /// Bodies in the log.
        bytes: u64,
        /// By SIGKILL.
        killed: bool,
    },
    /// Half messages, each committed as soon as it is acknowledged.
    Transactions {
        /// Transactions without answer, over all connections.
        in_flight: u32,
        /// Connections.
        connections: u32,
    },
    /// A backlog of `messages` messages of 1 KiB is read through an expression of three terms that selects half of them.
    Filter {
        /// Length of the backlog.
        messages: u64,
    },
    /// As [`Work::Tail`], with an orderly consumer: it holds locks, and order is checked.
    Orderly(Rate),
    /// A backlog of `messages` messages of 1 KiB is popped and acknowledged message by message.
    Pop {
        /// Length of the backlog.
        messages: u64,
    },
    /// A benchmark client of RocketMQ's own.
    Official(Official),
}

/// Sends; a closed loop unless there is a rate.
#[derive(Clone, Debug)]
pub struct Send {
    /// Bytes of a body.
    pub size: u32,
    /// Requests without answer, over all connections; of no account where there is a rate.
    pub in_flight: u32,
    /// Connections.
    pub connections: u32,
    /// Messages a request.
    pub batch: u32,
    /// Open loop.
    pub rate: Option<Rate>,
    /// Without answers.
    pub oneway: bool,
    /// `DELAY` of the messages.
    pub delay_level: Option<u32>,
    /// Milliseconds that messages wait on the timer wheel.
    pub timer_delay_ms: Option<u32>,
    /// Messages have the property that expressions select by.
    pub buckets: bool,
}

/// Messages per second of an open loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// This many.
    PerSecond(u32),
    /// Half of what Java reached in [`SATURATED`] in this run, against both servers.
    HalfOfJava,
}

/// Classes of `org.apache.rocketmq.example.benchmark`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Official {
    /// Synchronous sends of 1 KiB by this many threads.
    Producer(u32),
    /// Synchronous batches of 16 messages of 128 B by 16 threads.
    BatchProducer,
    /// Push consumer of a backlog.
    Consumer,
}

/// What must hold of medians. "Java" is Java in the same case of the same run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Server CPU per message, ours : Java, at most.
    Cpu(f64),
    /// Median latency, ours : Java, at most.
    P50(f64),
    /// p99.9, ours : Java, at most.
    P999(f64),
    /// Messages per second, ours : Java, at least.
    Rate(f64),
    /// Messages per second, ours : null server, at least.
    RateOfNull(f64),
    /// Messages per second, ours : raw grouped fdatasync, at least.
    RateOfRaw(f64),
    /// Messages per second, ours : ours in the named case, at least.
    RateOfCase(&'static str, f64),
    /// p99, ours : ours in the named case, at most.
    P99OfCase(&'static str, f64),
    /// Anonymous memory of ours, at most, MiB.
    AnonMib(f64),
    /// Anonymous memory at rest above the named case's, per queue more than there, at most, bytes.
    BytesPerQueue(&'static str, f64),
    /// Start until the first answer, at most, seconds; and nothing lost.
    StartSeconds(f64),
    /// Ours answers no flow control.
    NoFlowControl,
}

impl Send {
    /// A closed loop of single messages.
    pub fn closed(size: u32, in_flight: u32, connections: u32) -> Self {
        Self {
            size,
            in_flight,
            connections,
            batch: 1,
            rate: None,
            oneway: false,
            delay_level: None,
            timer_delay_ms: None,
            buckets: false,
        }
    }

    fn open(rate: Rate) -> Self {
        Self { rate: Some(rate), ..Self::closed(KIB, 512, 16) }
    }
}

impl Case {
    fn new(name: impl Into<String>, work: Work, seconds: u32) -> Self {
        Self { name: name.into(), work, seconds, goals: Vec::new(), null: false }
    }

    fn goals(self, goals: &[Goal]) -> Self {
        Self { goals: goals.to_vec(), ..self }
    }

    fn null(self) -> Self {
        Self { null: true, ..self }
    }
}

fn size_name(bytes: u32) -> String {
    if bytes < KIB { format!("{bytes}B") } else { format!("{}KiB", bytes / KIB) }
}

fn sends(size: u32, seconds: u32) -> Vec<Case> {
    let shapes = [(1, 1), (16, 1), (64, 1), (512, 1), (16, 16), (64, 16), (512, 16)];
    shapes
        .map(|(in_flight, connections)| {
            let name = format!("send/{}/{in_flight}x{connections}", size_name(size));
            let goals: &[Goal] = match (size, in_flight) {
                (KIB, 1) => &[Goal::Cpu(1.0 / 6.0), Goal::P50(1.0 / 3.0)],
                (KIB, 64) => &[Goal::Cpu(0.1)],
                (KIB, 512) if connections == 16 => &[Goal::Rate(4.0), Goal::RateOfNull(0.7)],
                _ => &[],
            };
            let case = Case::new(name, Work::Send(Send::closed(size, in_flight, connections)), seconds).goals(goals);
            if size == KIB { case.null() } else { case }
        })
        .into()
}

/// All cases. `quick` shrinks what is large by its nature, so that CI proves in minutes that all of it works.
pub fn groups(quick: bool) -> Vec<Group> {
    let small = |full: u64, quick_size: u64| if quick { quick_size } else { full };
    let count = |full: u32, quick_size: u32| if quick { quick_size } else { full };
    let group = |name, durability, cases| Group { name, durability, subject: Subject::Broker, rounds_max: 9, cases };
    let asynchronous = |name, cases| group(name, Durability::Async, cases);

    let other_sends = vec![
        Case::new("oneway/1KiB/16", Work::Send(Send { oneway: true, ..Send::closed(KIB, 512, 16) }), 4),
        Case::new("batch16/128B/16x16", Work::Send(Send { batch: 16, ..Send::closed(128, 16, 16) }), 4)
            .goals(&[Goal::Cpu(0.25)])
            .null(),
        Case::new("batch16/1KiB/16x16", Work::Send(Send { batch: 16, ..Send::closed(KIB, 16, 16) }), 4)
            .goals(&[Goal::Cpu(0.25)]),
        Case::new("batch256/1KiB/16x16", Work::Send(Send { batch: 256, ..Send::closed(KIB, 16, 16) }), 3),
        Case::new("delay/level1/64x16", Work::Send(Send { delay_level: Some(1), ..Send::closed(KIB, 64, 16) }), 5),
    ];
    let synchronous = [1, 64, 512]
        .map(|in_flight| {
            let connections = in_flight.min(16);
            let goals: &[Goal] = if in_flight > 1 { &[Goal::Rate(5.0), Goal::RateOfRaw(0.7)] } else { &[] };
            let work = Work::Send(Send::closed(KIB, in_flight, connections));
            Case::new(format!("sync/1KiB/{in_flight}x{connections}"), work, 5).goals(goals)
        })
        .into();
    let open = vec![
        Case::new("open/1000", Work::Send(Send::open(Rate::PerSecond(1000))), 10),
        Case::new("open/half", Work::Send(Send::open(Rate::HalfOfJava)), 60)
            .goals(&[Goal::P999(0.2), Goal::NoFlowControl]),
        Case::new("tail/1000", Work::Tail(Rate::PerSecond(1000)), 10),
        Case::new("tail/half", Work::Tail(Rate::HalfOfJava), 15),
    ];
    let held = [10, 2000].map(|n| Case::new(format!("hold/{n}"), Work::Hold { consumers: n, rate: 1000 }, 10)).into();
    let connections =
        vec![Case::new("connections/1000", Work::Send(Send::closed(KIB, 1000, 1000)), 8).goals(&[Goal::AnonMib(64.0)])];
    let many = count(50_000, 500);
    let queues = vec![
        Case::new("queues/10", Work::Queues(10), 5),
        Case::new("queues/1000", Work::Queues(count(1000, 100)), 5),
        Case::new("queues/50000", Work::Queues(many), 10)
            .goals(&[Goal::RateOfCase("queues/10", 0.9), Goal::BytesPerQueue("queues/10", 1024.0)]),
    ];
    // Reading it takes about as long as the sends beside it are measured.
    let backlog = small(3_000_000, 20_000);
    let beside = Send::open(Rate::PerSecond(5000));
    let drains = vec![
        Case::new("drain/hot", Work::Drain { messages: backlog, cold: false, beside: None }, 0)
            .goals(&[Goal::Cpu(1.0 / 3.0)]),
        Case::new("drain/cold", Work::Drain { messages: backlog, cold: true, beside: None }, 0),
        Case::new("drain/no", Work::Send(beside.clone()), 4),
        Case::new("drain/hot-beside", Work::Drain { messages: backlog, cold: false, beside: Some(beside.clone()) }, 4),
        Case::new("drain/cold-beside", Work::Drain { messages: backlog, cold: true, beside: Some(beside) }, 4)
            .goals(&[Goal::P99OfCase("drain/no", 2.0)]),
    ];
    // At a rate that both reach, so that what the timer does falls into the window.
    let timers = Send { timer_delay_ms: Some(1000), ..Send::open(Rate::PerSecond(2000)) };
    let kinds = vec![
        Case::new("kind/timer", Work::Send(timers), 8),
        Case::new("kind/transaction", Work::Transactions { in_flight: 64, connections: 16 }, 5),
        Case::new("kind/sql92", Work::Filter { messages: small(1_000_000, 20_000) }, 0),
        Case::new("kind/orderly", Work::Orderly(Rate::PerSecond(5000)), 8),
        // Its acknowledgements keep the timer busy for a minute afterwards.
        Case::new("kind/pop", Work::Pop { messages: small(300_000, 10_000) }, 0),
    ]
    .into_iter()
    .map(|case| case.goals(&[Goal::Cpu(0.25)]))
    .collect();
    let routes =
        vec![Case::new("route/10", Work::Route(10), 4), Case::new("route/50000", Work::Route(count(50_000, 1000)), 4)];
    let bytes = small(10 * GIB, GIB / 16);
    let restart = vec![
        Case::new("restart/clean", Work::Restart { bytes, killed: false }, 0).goals(&[Goal::StartSeconds(1.0)]),
        Case::new("restart/killed", Work::Restart { bytes, killed: true }, 0).goals(&[Goal::StartSeconds(5.0)]),
    ];
    let official = [
        ("official/Producer/1x1KiB", Official::Producer(1)),
        ("official/Producer/64x1KiB", Official::Producer(64)),
        ("official/BatchProducer/16x128B", Official::BatchProducer),
        ("official/Consumer", Official::Consumer),
    ]
    .map(|(name, client)| Case::new(name, Work::Official(client), 10))
    .into();

    vec![
        asynchronous("sends of 1 KiB", sends(KIB, 4)),
        asynchronous("sends of 128 B", sends(128, 4)),
        asynchronous("sends of 4 KiB", sends(4 * KIB, 3)),
        asynchronous("sends of 64 KiB", sends(64 * KIB, 2)),
        asynchronous("one-way, batches, delay", other_sends),
        group("SYNC_FLUSH", Durability::Sync, synchronous),
        asynchronous("open loop and end to end", open),
        asynchronous("consumers in long polling", held),
        asynchronous("connections", connections),
        asynchronous("backlog", drains),
        asynchronous("kinds of messages", kinds),
        Group { rounds_max: 1, ..asynchronous("queues", queues) },
        Group { subject: Subject::Namesrv, ..asynchronous("name server", routes) },
        Group { rounds_max: 1, ..asynchronous("official clients", official) },
        Group { rounds_max: 1, ..asynchronous("restart", restart) },
    ]
}

/// The cases of `groups` that a pattern selects: names, or beginnings of names, separated by commas.
pub fn select(groups: Vec<Group>, pattern: Option<&str>) -> Vec<Group> {
    let Some(pattern) = pattern else { return groups };
    let wanted: Vec<&str> = pattern.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    groups
        .into_iter()
        .map(|group| {
            let cases = group.cases.into_iter().filter(|case| wanted.iter().any(|w| case.name.starts_with(w)));
            Group { cases: cases.collect(), ..group }
        })
        .filter(|group| !group.cases.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(groups: &[Group]) -> Vec<&str> {
        groups.iter().flat_map(|group| &group.cases).map(|case| case.name.as_str()).collect()
    }

    #[test]
    fn names_are_unique_and_the_same_when_quick() {
        let full = groups(false);
        let unique: BTreeSet<_> = names(&full).into_iter().collect();
        assert_eq!(unique.len(), names(&full).len());
        assert_eq!(names(&full), names(&groups(true)));
    }

    #[test]
    fn goals_name_cases_that_come_before() {
        let groups = groups(false);
        let mut before = BTreeSet::new();
        for case in groups.iter().flat_map(|group| &group.cases) {
            for goal in &case.goals {
                if let Goal::RateOfCase(other, _) | Goal::P99OfCase(other, _) | Goal::BytesPerQueue(other, _) = goal {
                    assert!(before.contains(other), "{} refers to {other}", case.name);
                }
            }
            before.insert(case.name.as_str());
        }
        assert!(before.contains(SATURATED));
    }

    #[test]
    fn patterns_select_by_beginning() {
        let chosen = select(groups(false), Some("route, send/1KiB/64x1"));
        assert_eq!(names(&chosen), ["send/1KiB/64x1", "send/1KiB/64x16", "route/10", "route/50000"]);
        assert!(select(groups(false), Some("nothing")).is_empty());
    }
}
