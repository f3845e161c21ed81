//! The sections of a logical queue, oldest first: where offsets lie, and what sections may be.
//!
//! A section is a stretch of the logical queue in one physical queue. It takes the logical offsets from its own
//! `logicOffset` up to that of the next one. After a move the newest section is *undecided* (`logicOffset` -1) until the
//! end of the one before is known: it is written already, but not read. Java: `LogicQueueMappingItem`,
//! `TopicQueueMappingUtils`.

use hypergol_remoting::protocol::body::topic::LogicQueueMappingItem as Section;

/// Largest offset in a mapping: arithmetic with offsets of clients stays far from overflow.
const OFFSET_MAX: i64 = 1 << 60;
/// Sections of one logical queue; each is a move of the queue to another broker.
const SECTIONS_MAX: usize = 4096;

/// Whether a section's place in the logical queue is known.
pub fn is_decided(section: &Section) -> bool {
    section.logic_offset >= 0
}

/// The logical offset of a physical one; the section's first for what lies before it.
pub fn logical(section: &Section, physical: i64) -> i64 {
    section.logic_offset.saturating_add(physical.saturating_sub(section.start_offset).max(0))
}

/// The same, not beyond the section's end where that is known; -1 for an undecided section.
pub fn logical_within(section: &Section, physical: i64) -> i64 {
    if !is_decided(section) {
        return -1;
    }
    let has_end = section.end_offset >= section.start_offset;
    logical(section, if has_end { physical.min(section.end_offset) } else { physical })
}

/// The physical offset of a logical one, which may lie before the section.
pub fn physical(section: &Section, logical: i64) -> i64 {
    logical.saturating_sub(section.logic_offset).saturating_add(section.start_offset)
}

/// The section, by its index, that holds a logical offset: the oldest for what lies before all. `None` when no section
/// is decided.
pub fn find(sections: &[Section], logical: i64) -> Option<usize> {
    let holds = |section: &Section| is_decided(section) && logical >= section.logic_offset;
    sections.iter().rposition(holds).or_else(|| sections.iter().position(is_decided))
}

/// The section behind another, if it is decided.
pub fn next(sections: &[Section], index: usize) -> Option<&Section> {
    sections.get(index + 1).filter(|section| is_decided(section))
}

/// Whether sections can make a logical queue.
///
/// # Errors
/// What is wrong.
pub fn check(sections: &[Section]) -> Result<(), String> {
    if sections.len() > SECTIONS_MAX {
        return Err(format!("{} sections, {SECTIONS_MAX} are possible", sections.len()));
    }
    for section in sections {
        let offsets = [section.start_offset, section.end_offset, section.logic_offset];
        if section.start_offset < 0 || section.generation < 0 || section.queue_id < 0 {
            return Err(format!("a negative field in the section of generation {}", section.generation));
        }
        if offsets.iter().any(|offset| !(-1..=OFFSET_MAX).contains(offset)) {
            return Err(format!("an impossible offset in the section of generation {}", section.generation));
        }
        if section.end_offset != -1 && section.end_offset < section.start_offset {
            return Err(format!("the section of generation {} ends before it starts", section.generation));
        }
    }
    for pair in sections.windows(2) {
        let [older, newer] = pair else { continue };
        if older.generation >= newer.generation {
            return Err(format!("generation {} follows {}", newer.generation, older.generation));
        }
        if !is_decided(older) {
            return Err(format!("the section of generation {} is undecided and not the newest", older.generation));
        }
        if is_decided(newer) && logical_within(older, older.end_offset) >= newer.logic_offset {
            return Err(format!("the section of generation {} starts inside the one before", newer.generation));
        }
    }
    Ok(())
}

/// Whether the sections of a queue may be replaced by others: what is written stays where it is. Sections may be missing
/// on either side: the oldest are dropped when they are empty. With the `same_epoch` the queue cannot have moved.
///
/// # Errors
/// What is wrong.
pub fn check_change(old: &[Section], new: &[Section], same_epoch: bool) -> Result<(), String> {
    let Some(old_newest) = old.last() else { return Ok(()) };
    let Some(new_newest) = new.last() else { return Err("its sections are missing".to_owned()) };
    let place = |section: &Section| (section.bname.clone(), section.queue_id, section.start_offset);
    for section in new {
        let Some(before) = old.iter().find(|before| before.generation == section.generation) else { continue };
        let moved = is_decided(before) && before.logic_offset != section.logic_offset;
        if place(before) != place(section) || moved {
            return Err(format!("the section of generation {} is not what it was", section.generation));
        }
    }
    if same_epoch && (old_newest.generation, place(old_newest)) != (new_newest.generation, place(new_newest)) {
        return Err("it has another newest section in the same epoch".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn section(generation: i32, logic_offset: i64) -> Section {
        let (queue_id, bname) = (generation, format!("broker-{generation}"));
        Section { generation, logic_offset, queue_id, bname, ..Section::default() }
    }

    #[test]
    fn an_offset_is_in_the_newest_section_that_starts_before_it() {
        let sections = [section(0, 0), section(1, 10_000), section(2, -1)];
        assert_eq!(check(&sections), Ok(()));
        for (offset, expected) in [(-5, 0), (0, 0), (9_999, 0), (10_000, 1), (i64::MAX, 1)] {
            assert_eq!(find(&sections, offset), Some(expected), "{offset}");
        }
        assert_eq!(next(&sections, 0), Some(&sections[1]));
        assert_eq!((next(&sections, 1), next(&sections, 2)), (None, None));
        assert_eq!(find(&sections[2..], 0), None);
        assert_eq!(find(&[section(1, 10_000), section(2, 20_000)], 7), Some(0), "the oldest is gone");
    }

    #[test]
    fn offsets_stay_within_a_section_that_has_ended() {
        let ended = Section { end_offset: 15, start_offset: 5, ..section(1, 100) };
        assert_eq!([0, 5, 9, 15, 99].map(|offset| logical_within(&ended, offset)), [100, 100, 104, 110, 110]);
        assert_eq!(logical(&ended, 99), 194);
        assert_eq!(physical(&ended, 104), 9);
        assert_eq!(logical_within(&section(1, -1), 7), -1);
        assert_eq!(physical(&section(1, 10), i64::MIN), i64::MIN);
    }

    #[test]
    fn impossible_sections() {
        let good = [section(0, 0), section(1, 10_000)];
        let with = |index: usize, change: fn(&mut Section)| {
            let mut sections = good.clone();
            change(&mut sections[index]);
            check(&sections).unwrap_err()
        };
        assert!(with(0, |s| s.queue_id = -1).contains("negative"));
        assert!(with(0, |s| s.start_offset = i64::MAX).contains("impossible"));
        assert!(with(1, |s| s.logic_offset = i64::MIN).contains("impossible"));
        assert!(with(0, |s| (s.start_offset, s.end_offset) = (3, 2)).contains("ends before"));
        assert!(with(0, |s| s.logic_offset = -1).contains("undecided"));
        assert!(with(1, |s| s.generation = 0).contains("follows"));
        assert!(with(1, |s| s.logic_offset = 0).contains("inside"));
        assert!(with(0, |s| s.end_offset = 10_000).contains("inside"));
        let many: Vec<_> = (0..5000).map(|n| section(n, i64::from(n))).collect();
        assert!(check(&many).unwrap_err().contains("4096 are possible"));
    }

    #[test]
    fn what_is_written_stays() {
        let old = [section(1, 100), section(2, -1)];
        let decided = [section(1, 100), section(2, 200)];
        assert_eq!(check_change(&old, &decided, true), Ok(()), "decided once");
        assert!(check_change(&decided, &old, false).is_err(), "and not again");
        assert_eq!(check_change(&decided, &decided[1..], true), Ok(()), "the oldest has expired");
        let moved = [section(2, 200), section(3, -1)];
        assert_eq!(check_change(&decided, &moved, false), Ok(()));
        assert!(check_change(&decided, &moved, true).is_err(), "a move takes a new epoch");
        let forged = [Section { queue_id: 7, ..section(1, 100) }, section(2, 200)];
        assert!(check_change(&decided, &forged, false).is_err());
        assert!(check_change(&decided, &[], false).is_err());
        assert_eq!(check_change(&[], &[], true), Ok(()));
    }

    proptest! {
        #[test]
        fn physical_and_logical_offsets_are_each_others_inverse(
            gaps in prop::collection::vec((1i64..1_000_000, 0i64..1_000), 1..8),
            at in 0i64..8_000_000,
        ) {
            let mut start = 0;
            let mut sections = Vec::new();
            for (generation, (gap, physical_start)) in gaps.into_iter().enumerate() {
                let generation = i32::try_from(generation).unwrap();
                sections.push(Section { start_offset: physical_start, ..section(generation, start) });
                start += gap;
            }
            prop_assert_eq!(check(&sections), Ok(()));
            let index = find(&sections, at).unwrap();
            prop_assert_eq!(logical(&sections[index], physical(&sections[index], at)), at);
            prop_assert!(next(&sections, index).is_none_or(|next| at < next.logic_offset));
        }
    }
}
