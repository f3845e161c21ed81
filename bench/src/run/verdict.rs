//! Whether the goals are met.

use serde::Serialize;

use super::result::{Sample, Samples, Side};
use crate::cases::{Case, Goal};

const MIB: f64 = 1024.0 * 1024.0;
/// Code and remark of flow control begin so: SYSTEM_BUSY.
const FLOW_CONTROL: &str = "2 ";

/// One goal of one case.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Of the case.
    pub case: String,
    /// What was to hold.
    pub goal: String,
    /// What was measured; absent when it was not.
    pub value: Option<f64>,
    /// Absent when it was not measured.
    pub met: Option<bool>,
}

impl Verdict {
    /// For the table.
    pub fn text(&self) -> String {
        let value = self.value.map_or("not measured".to_owned(), short);
        match self.met {
            Some(true) => format!("met: {} ({value})", self.goal),
            Some(false) => format!("**missed**: {} ({value})", self.goal),
            None => format!("{}: not measured", self.goal),
        }
    }
}

/// Three significant digits, about.
pub fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Judges every goal of `case` by the medians of `samples`.
pub fn judge(case: &Case, samples: &Samples) -> Vec<Verdict> {
    case.goals.iter().map(|goal| judge_one(&case.name, *goal, samples)).collect()
}

fn judge_one(case: &str, goal: Goal, samples: &Samples) -> Verdict {
    let figure = |case: &str, side, figure: &dyn Fn(&Sample) -> Option<f64>| samples.median(case, side, figure);
    let over = |other_case: &str, side, of: &dyn Fn(&Sample) -> Option<f64>| {
        let other = figure(other_case, side, of).filter(|other| *other > 0.0)?;
        Some(figure(case, Side::Ours, of)? / other)
    };
    let rate = |sample: &Sample| positive(sample.rate);
    let (text, value, limit, at_most) = match goal {
        Goal::Cpu(limit) => {
            let value = over(case, Side::Java, &|sample| positive(sample.cpu_per_million));
            (format!("CPU ≤ {} of Java's", short(limit)), value, limit, true)
        }
        Goal::P50(limit) => {
            let value = over(case, Side::Java, &|sample| sample.latency_us.map(|l| l.p50));
            (format!("median latency ≤ {} of Java's", short(limit)), value, limit, true)
        }
        Goal::P999(limit) => {
            let value = over(case, Side::Java, &|sample| sample.latency_us.map(|l| l.p99_9));
            (format!("p99.9 ≤ {} of Java's", short(limit)), value, limit, true)
        }
        Goal::Rate(limit) => (format!("rate ≥ {} × Java's", short(limit)), over(case, Side::Java, &rate), limit, false),
        Goal::RateOfNull(limit) => {
            (format!("rate ≥ {} of the null server's", short(limit)), over(case, Side::Null, &rate), limit, false)
        }
        Goal::RateOfRaw(limit) => {
            (format!("rate ≥ {} of raw fdatasync", short(limit)), over(case, Side::Raw, &rate), limit, false)
        }
        Goal::RateOfCase(other, limit) => {
            (format!("rate ≥ {} of {other}", short(limit)), over(other, Side::Ours, &rate), limit, false)
        }
        Goal::P99OfCase(other, limit) => {
            let value = over(other, Side::Ours, &|sample| sample.latency_us.map(|l| l.p99));
            (format!("p99 ≤ {} × {other}", short(limit)), value, limit, true)
        }
        Goal::AnonMib(limit) => {
            let value = figure(case, Side::Ours, &|sample| positive(sample.anon_bytes as f64 / MIB));
            (format!("anonymous memory ≤ {limit} MiB"), value, limit, true)
        }
        Goal::BytesPerQueue(other, limit) => {
            let at_rest =
                |case| figure(case, Side::Ours, &|sample| sample.anon_at_rest_bytes.map(|bytes| bytes as f64));
            let queues = |case| figure(case, Side::Ours, &|sample| sample.queues.map(f64::from));
            let value =
                || Some((at_rest(case)? - at_rest(other)?).max(0.0) / (queues(case)? - queues(other)?).max(1.0));
            (format!("≤ {limit} B of memory a queue"), value(), limit, true)
        }
        Goal::StartSeconds(limit) => {
            let value = figure(case, Side::Ours, &|sample| sample.recovery_seconds);
            (format!("start ≤ {limit} s, nothing lost"), value, limit, true)
        }
        Goal::NoFlowControl => {
            let refused = |sample: &Sample| {
                let codes = sample.errors.iter().filter(|(code, _)| code.starts_with(FLOW_CONTROL));
                Some(codes.map(|(_, count)| *count).sum::<u64>() as f64)
            };
            let value = samples.of(case, Side::Ours).filter_map(refused).reduce(f64::max);
            ("no flow control".to_owned(), value, 0.0, true)
        }
    };
    // A case that is not correct meets no goal.
    let correct = samples.of(case, Side::Ours).all(|sample| sample.failed_checks.is_none());
    let met = value.map(|value| correct && if at_most { value <= limit } else { value >= limit });
    Verdict { case: case.to_owned(), goal: text, value, met }
}

fn positive(value: f64) -> Option<f64> {
    (value > 0.0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{Durability, SATURATED, Work};

    fn sample(side: Side, rate: u64, cpu: f64) -> Sample {
        let mut sample = Sample::new(SATURATED, side, 1, Durability::Async);
        sample.measured(rate, 1.0, cpu);
        sample
    }

    fn case(goals: &[Goal]) -> Case {
        Case { name: SATURATED.to_owned(), work: Work::Queues(1), seconds: 1, goals: goals.to_vec(), null: false }
    }

    #[test]
    fn ratios_decide() {
        let samples = Samples(vec![sample(Side::Java, 1000, 1.0), sample(Side::Ours, 5000, 1.0)]);
        let verdicts = judge(&case(&[Goal::Rate(4.0), Goal::Cpu(0.1), Goal::RateOfNull(0.7)]), &samples);
        assert_eq!(verdicts.iter().map(|v| v.met).collect::<Vec<_>>(), [Some(true), Some(false), None]);
        assert_eq!(verdicts[0].value, Some(5.0));
    }

    #[test]
    fn what_is_wrong_meets_nothing() {
        let mut wrong = sample(Side::Ours, 5000, 1.0);
        wrong.fail("3 messages are lost");
        let samples = Samples(vec![sample(Side::Java, 1000, 1.0), wrong]);
        assert_eq!(judge(&case(&[Goal::Rate(4.0)]), &samples)[0].met, Some(false));
    }

    #[test]
    fn flow_control_is_seen_by_its_code() {
        let mut busy = sample(Side::Ours, 5000, 1.0);
        busy.errors.insert("2 [PC_SYNCHRONIZED]broker busy".to_owned(), 7);
        assert_eq!(judge(&case(&[Goal::NoFlowControl]), &Samples(vec![busy]))[0].met, Some(false));
        let other = sample(Side::Ours, 5000, 1.0);
        assert_eq!(judge(&case(&[Goal::NoFlowControl]), &Samples(vec![other]))[0].met, Some(true));
    }
}
