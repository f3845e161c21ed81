//! Server-side assignment of queues to the consumers of a group.
//!
//! The strategies are those that Java's broker registers (`QueryAssignmentProcessor`), the results those of the
//! client's strategies of the same name.

use hypergol_remoting::protocol::body::message_queue::MessageQueue;
use thiserror::Error;

/// How queues are spread over the members of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// `AVG`: each member gets a run of adjacent queues.
    Average,
    /// `AVG_BY_CIRCLE`: members take queues in turn.
    AverageByCircle,
}

/// Why queues cannot be assigned. Java answers an empty object: the client keeps what it has.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AssignmentError {
    /// The strategy is not known to brokers.
    #[error("unsupported strategy [{0}]")]
    UnknownStrategy(String),
    /// The client gave no id.
    #[error("currentCID is empty")]
    NoClientId,
    /// The topic has no queue.
    #[error("mqAll is null or mqAll empty")]
    NoQueues,
    /// The group has no member.
    #[error("cidAll is null or cidAll empty")]
    NoMembers,
}

impl Strategy {
    /// The strategy of a name as clients send it.
    pub fn from_name(name: &str) -> Result<Self, AssignmentError> {
        match name {
            "AVG" => Ok(Self::Average),
            "AVG_BY_CIRCLE" => Ok(Self::AverageByCircle),
            other => Err(AssignmentError::UnknownStrategy(other.chars().take(64).collect())),
        }
    }

    /// The queues of member `index` of `members`; both lists are in the order that all members agree on.
    fn share(self, index: usize, members: usize, queues: &[MessageQueue]) -> Vec<&MessageQueue> {
        match self {
            Self::AverageByCircle => queues.iter().skip(index).step_by(members.max(1)).collect(),
            Self::Average => {
                let (size, rest) = (queues.len() / members.max(1), queues.len() % members.max(1));
                // The first `rest` members get one more.
                let start = index * size + index.min(rest);
                let length = size + usize::from(index < rest);
                queues.iter().skip(start).take(length).collect()
            }
        }
    }
}

/// The queues of `client_id`. `queues` and `members` must be sorted. A client that is no member gets none.
pub fn allocate(
    strategy: Strategy,
    client_id: &str,
    queues: &[MessageQueue],
    members: &[String],
) -> Result<Vec<MessageQueue>, AssignmentError> {
    check(client_id, queues, members)?;
    let Some(index) = members.iter().position(|member| member == client_id) else { return Ok(Vec::new()) };
    Ok(strategy.share(index, members.len(), queues).into_iter().cloned().collect())
}

/// The queues a pop consumer asks: its own and those of the `share_queues` members that follow it in the list. With
/// `share_queues` not positive, or enough to reach nearly everybody, all brokers of the topic with queue id -1: any
/// queue there.
pub fn allocate_for_pop(
    strategy: Strategy,
    client_id: &str,
    queues: &[MessageQueue],
    members: &[String],
    share_queues: i32,
) -> Result<Vec<MessageQueue>, AssignmentError> {
    let share = usize::try_from(share_queues).unwrap_or(0);
    if share == 0 || share + 1 >= members.len() {
        let any = |queue: &MessageQueue| MessageQueue { queue_id: -1, ..queue.clone() };
        return Ok(distinct(queues.iter().map(any)));
    }
    check(client_id, queues, members)?;
    let Some(index) = members.iter().position(|member| member == client_id) else { return Ok(Vec::new()) };
    if members.len() > queues.len() {
        // More members than queues: several share one, so that none is idle.
        return Ok(queues.get(index % queues.len()).cloned().into_iter().collect());
    }
    // `share` is below the number of members here, so this ends after one round at most.
    let shares = (index..=index + share).map(|turn| turn % members.len());
    Ok(distinct(shares.flat_map(|member| strategy.share(member, members.len(), queues)).cloned()))
}

fn check(client_id: &str, queues: &[MessageQueue], members: &[String]) -> Result<(), AssignmentError> {
    if client_id.is_empty() {
        return Err(AssignmentError::NoClientId);
    }
    if queues.is_empty() {
        return Err(AssignmentError::NoQueues);
    }
    if members.is_empty() {
        return Err(AssignmentError::NoMembers);
    }
    Ok(())
}

fn distinct(queues: impl Iterator<Item = MessageQueue>) -> Vec<MessageQueue> {
    let mut seen = std::collections::HashSet::new();
    queues.filter(|queue| seen.insert(queue.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn queues(count: usize) -> Vec<MessageQueue> {
        (0..count).map(|id| MessageQueue::new("T", "b", id as i32)).collect()
    }

    fn members(count: usize) -> Vec<String> {
        (0..count).map(|id| format!("c{id:03}")).collect()
    }

    fn ids(allocated: &[MessageQueue]) -> Vec<i32> {
        allocated.iter().map(|queue| queue.queue_id).collect()
    }

    #[test]
    fn known_shares() {
        let (queues, members) = (queues(8), members(3));
        let shares =
            |strategy| members.iter().map(|id| ids(&allocate(strategy, id, &queues, &members).unwrap())).collect();
        let average: Vec<Vec<i32>> = shares(Strategy::Average);
        assert_eq!(average, [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7]]);
        let circle: Vec<Vec<i32>> = shares(Strategy::AverageByCircle);
        assert_eq!(circle, [vec![0, 3, 6], vec![1, 4, 7], vec![2, 5]]);
    }

    #[test]
    fn more_members_than_queues_leaves_some_without() {
        let allocated = |id| allocate(Strategy::Average, id, &queues(2), &members(3)).unwrap();
        assert_eq!(ids(&allocated("c001")), [1]);
        assert!(allocated("c002").is_empty());
        assert!(allocated("stranger").is_empty());
    }

    #[test]
    fn what_cannot_be_assigned_is_an_error() {
        let strategy = Strategy::Average;
        assert_eq!(allocate(strategy, "", &queues(1), &members(1)), Err(AssignmentError::NoClientId));
        assert_eq!(allocate(strategy, "c000", &[], &members(1)), Err(AssignmentError::NoQueues));
        assert_eq!(allocate(strategy, "c000", &queues(1), &[]), Err(AssignmentError::NoMembers));
        assert!(Strategy::from_name("CONSISTENT_HASH").is_err());
    }

    #[test]
    fn pop_asks_every_queue_unless_told_otherwise() {
        let all = allocate_for_pop(Strategy::Average, "c000", &queues(4), &members(3), -1).unwrap();
        assert_eq!(all, [MessageQueue::new("T", "b", -1)]);
        let reaches_everybody = allocate_for_pop(Strategy::Average, "c000", &queues(4), &members(3), 2).unwrap();
        assert_eq!(ids(&reaches_everybody), [-1]);
    }

    #[test]
    fn pop_shares_the_queues_of_the_members_that_follow() {
        let allocated = |id| ids(&allocate_for_pop(Strategy::Average, id, &queues(8), &members(4), 1).unwrap());
        assert_eq!(allocated("c000"), [0, 1, 2, 3]);
        assert_eq!(allocated("c003"), [6, 7, 0, 1], "the first follows the last");
        let crowded = |id| ids(&allocate_for_pop(Strategy::Average, id, &queues(2), &members(5), 1).unwrap());
        assert_eq!((crowded("c000"), crowded("c003"), crowded("c004")), (vec![0], vec![1], vec![0]));
    }

    proptest! {
        #[test]
        fn every_queue_has_exactly_one_consumer(
            queue_count in 1usize..200,
            member_count in 1usize..60,
            circle: bool,
        ) {
            let strategy = if circle { Strategy::AverageByCircle } else { Strategy::Average };
            let (queues, members) = (queues(queue_count), members(member_count));
            let mut owners: HashMap<i32, usize> = HashMap::new();
            let mut sizes = Vec::new();
            for member in &members {
                let share = allocate(strategy, member, &queues, &members).unwrap();
                sizes.push(share.len());
                for queue in share {
                    *owners.entry(queue.queue_id).or_default() += 1;
                }
            }
            prop_assert_eq!(owners.len(), queue_count);
            prop_assert!(owners.values().all(|count| *count == 1));
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        }

        #[test]
        fn pop_reaches_every_queue(
            queue_count in 1usize..100,
            member_count in 1usize..40,
            share in -1i32..40,
            circle: bool,
        ) {
            let strategy = if circle { Strategy::AverageByCircle } else { Strategy::Average };
            let (queues, members) = (queues(queue_count), members(member_count));
            let mut reached: HashMap<i32, usize> = HashMap::new();
            for member in &members {
                let allocated = allocate_for_pop(strategy, member, &queues, &members, share).unwrap();
                prop_assert!(!allocated.is_empty());
                for queue in allocated {
                    *reached.entry(queue.queue_id).or_default() += 1;
                }
            }
            let any = reached.contains_key(&-1);
            prop_assert!(any || reached.len() == queue_count);
        }
    }
}
