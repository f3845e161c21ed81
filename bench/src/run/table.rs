//! The results as Markdown, and the lines shown while a run goes on.

use std::fmt::Write;

use super::machine::Machine;
use super::result::{Sample, Samples, Side, Spread, spread};
use super::verdict::{Verdict, short};
use crate::cases::{Group, Subject};

const MIB: f64 = 1024.0 * 1024.0;
const HEADER: &str = "\
| case | durability | rounds | messages/s, ours : Java | CPU s per million, ours : Java | \
p50 / p99 / p99.9 / p99.99 / max, ours (µs) | the same, Java | anonymous + mapped MiB, ours : Java | goals |
|---|---|---|---|---|---|---|---|---|
";

/// One line as soon as a case is through.
pub fn progress(sample: &Sample) -> String {
    let mut line = format!(
        "{:<28} {:<13} {:<11} round {}  ",
        sample.case,
        sample.side.name(),
        sample.durability.key_value(),
        sample.round
    );
    if let Some(recovery) = sample.recovery_seconds {
        let _ = write!(line, "started in {recovery:.3} s");
    } else {
        let _ = write!(line, "{:>10}/s  {:>7} CPU s/M", thousands(sample.rate), short(sample.cpu_per_million));
        if let Some(l) = sample.latency_us {
            let _ = write!(
                line,
                "  p50 {} p99 {} p99.9 {} max {} µs",
                short(l.p50),
                short(l.p99),
                short(l.p99_9),
                short(l.max)
            );
        }
        let _ = write!(line, "  {} MiB", short(sample.anon_bytes as f64 / MIB));
    }
    for (code, count) in &sample.errors {
        let _ = write!(line, "  {count} × {code}");
    }
    if let Some(failed) = &sample.failed_checks {
        let _ = write!(line, "  FAILED: {failed}");
    }
    line
}

/// The whole document.
pub fn markdown(machine: &Machine, groups: &[Group], samples: &Samples, verdicts: &[Verdict], quick: bool) -> String {
    let mut text = String::from("# Benchmark\n\n");
    let _ = writeln!(
        text,
        "{}; {}, {} cores, {} GiB, Linux {}, stores on {}; commit {}; RocketMQ {} on {}; load average before: {}.\n",
        machine.date,
        machine.processor,
        machine.cores,
        machine.memory_bytes >> 30,
        machine.kernel,
        machine.file_system,
        machine.commit,
        machine.rocketmq,
        if machine.java.is_empty() { "no Java" } else { &machine.java },
        machine.load_before,
    );
    if quick {
        text += "**A quick run: about a second a case. It proves that all of it works; its figures mean nothing.**\n\n";
    }
    text += "Figures are medians of the rounds; ± is half of the range, in percent of the median. CPU is the server process's. \
             Ratios are ours : Java.\n\n";
    text += HEADER;
    for group in groups {
        for case in &group.cases {
            row(&mut text, &case.name, group, samples, verdicts);
        }
    }
    ceilings(&mut text, groups, samples);
    restarts(&mut text, groups, samples);
    disk(&mut text, groups, samples);
    failures(&mut text, samples);
    let met = verdicts.iter().filter(|verdict| verdict.met == Some(true)).count();
    let missed = verdicts.iter().filter(|verdict| verdict.met == Some(false)).count();
    let _ = writeln!(text, "\nGoals: {met} met, {missed} missed, {} not measured.", verdicts.len() - met - missed);
    if !machine.java_flags.is_empty() {
        text += "\nJava's flags:\n\n";
        for (name, flags) in &machine.java_flags {
            let _ = writeln!(text, "- {name}: `{flags}`");
        }
    }
    text
}

fn row(text: &mut String, case: &str, group: &Group, samples: &Samples, verdicts: &[Verdict]) {
    let rounds = samples.of(case, Side::Ours).count().max(samples.of(case, Side::Java).count());
    if rounds == 0 {
        return;
    }
    let rate = |side| samples.spread(case, side, |sample| Some(sample.rate).filter(|rate| *rate > 0.0));
    let cpu = |side| samples.spread(case, side, |sample| Some(sample.cpu_per_million).filter(|cpu| *cpu > 0.0));
    let memory = |side| {
        let mib = |bytes: &dyn Fn(&Sample) -> u64| {
            samples.median(case, side, |sample| Some(bytes(sample) as f64 / MIB)).map_or("–".to_owned(), short)
        };
        format!("{} + {}", mib(&|s| s.anon_bytes), mib(&|s| s.rss_bytes.saturating_sub(s.anon_bytes)))
    };
    let goals: Vec<String> = verdicts.iter().filter(|verdict| verdict.case == case).map(Verdict::text).collect();
    let _ = writeln!(
        text,
        "| {case} | {} | {rounds} | {} | {} | {} | {} | {} : {} | {} |",
        group.durability.key_value(),
        versus(rate(Side::Ours), rate(Side::Java), thousands),
        versus(cpu(Side::Ours), cpu(Side::Java), short),
        latency(samples, case, Side::Ours),
        latency(samples, case, Side::Java),
        memory(Side::Ours),
        memory(Side::Java),
        goals.join("; "),
    );
}

/// `ours ±n% : Java ±n% (ratio)`
fn versus(ours: Option<Spread>, java: Option<Spread>, figure: fn(f64) -> String) -> String {
    let show = |spread: Option<Spread>| {
        spread.map_or("–".to_owned(), |spread| {
            let half_range = (spread.max - spread.min) / 2.0 / spread.median * 100.0;
            let figure = figure(spread.median);
            if spread.max > spread.min { format!("{figure} ±{half_range:.0}%") } else { figure }
        })
    };
    let mut text = format!("{} : {}", show(ours), show(java));
    if let (Some(ours), Some(java)) = (ours, java) {
        let _ = write!(text, " (**{}**)", short(ours.median / java.median));
    }
    text
}

fn latency(samples: &Samples, case: &str, side: Side) -> String {
    let figures: Option<Vec<String>> = super::plot::PERCENTILES
        .iter()
        .filter(|(name, _)| *name != "p90")
        .map(|(_, of)| samples.median(case, side, |sample| sample.latency_us.as_ref().map(of)).map(short))
        .collect();
    figures.map_or("–".to_owned(), |figures| figures.join(" / "))
}

/// Rows of the null server and of raw fdatasync.
fn ceilings(text: &mut String, groups: &[Group], samples: &Samples) {
    let rows: Vec<String> = groups
        .iter()
        .flat_map(|group| &group.cases)
        .flat_map(|case| [Side::Null, Side::Raw].map(|side| (case.name.as_str(), side)))
        .filter_map(|(case, side)| {
            let rate = |side| samples.median(case, side, |sample| Some(sample.rate));
            let ceiling = rate(side).filter(|rate| *rate > 0.0)?;
            let ours = rate(Side::Ours).map_or("–".to_owned(), |ours| short(ours / ceiling));
            let client = samples.median(case, side, |sample| {
                Some(sample.client_cpu_seconds / sample.seconds).filter(|share| share.is_finite())
            });
            let client = client.filter(|_| side == Side::Null).map_or("–".to_owned(), short);
            Some(format!("| {case} | {} | {} | {ours} | {client} |", side.name(), thousands(ceiling)))
        })
        .collect();
    if !rows.is_empty() {
        text.push_str(
            "\nCeilings: what the client and our network layer reach without a store, and what the disk reaches without \
             a server.\n\n| case | ceiling | messages/s | ours : ceiling | cores used by the client |\n|---|---|---|---|---|\n",
        );
        text.push_str(&(rows.join("\n") + "\n"));
    }
}

fn restarts(text: &mut String, groups: &[Group], samples: &Samples) {
    let sides = [Side::Ours, Side::Java];
    text.push_str("\n| seconds until the first answer | ours | Java | log, MiB |\n|---|---|---|---|\n");
    for (name, subject) in [("broker, empty store", Subject::Broker), ("name server", Subject::Namesrv)] {
        let cases: Vec<&str> = groups
            .iter()
            .filter(|group| group.subject == subject)
            .flat_map(|group| &group.cases)
            .map(|case| case.name.as_str())
            .collect();
        let [ours, java] = sides.map(|side| {
            let of_side = samples.0.iter().filter(|s| s.side == side && cases.contains(&s.case.as_str()));
            let starts = spread(of_side.map(|s| s.startup_seconds).filter(|seconds| *seconds > 0.0));
            starts.map_or("–".to_owned(), |spread| format!("{:.3}", spread.median))
        });
        if !cases.is_empty() {
            let _ = writeln!(text, "| {name} | {ours} | {java} | 0 |");
        }
    }
    for case in groups.iter().flat_map(|group| &group.cases) {
        let of = |side| samples.median(&case.name, side, |sample| sample.recovery_seconds);
        let log = sides.into_iter().find_map(|side| samples.median(&case.name, side, |s| Some(s.bytes as f64 / MIB)));
        let shown = |seconds: Option<f64>| seconds.map_or("–".to_owned(), |seconds| format!("{seconds:.3}"));
        let (ours, java) = (of(Side::Ours), of(Side::Java));
        if ours.is_some() || java.is_some() {
            let log = log.map_or("–".to_owned(), thousands);
            let _ = writeln!(text, "| {} | {} | {} | {log} |", case.name, shown(ours), shown(java));
        }
    }
}

/// Disk is counted per group, as its cases share a store.
fn disk(text: &mut String, groups: &[Group], samples: &Samples) {
    let rows: Vec<String> = groups
        .iter()
        .filter_map(|group| {
            let of = |side| {
                let last = |sample: &&Sample| group.cases.iter().any(|case| case.name == sample.case);
                let bytes = samples.0.iter().filter(|s| s.side == side).filter(last).map(|s| s.disk_bytes).max()?;
                (bytes > 0).then(|| thousands(bytes as f64 / MIB))
            };
            let shown = |side| of(side).unwrap_or("–".to_owned());
            (of(Side::Ours).is_some() || of(Side::Java).is_some())
                .then(|| format!("| {} | {} | {} |", group.name, shown(Side::Ours), shown(Side::Java)))
        })
        .collect();
    if !rows.is_empty() {
        text.push_str(
            "\nMiB that a store occupies on disk after all cases of a group (who sends more in the time stores more; \
             results.json has the messages):\n\n| group | ours | Java |\n|---|---|---|\n",
        );
        text.push_str(&(rows.join("\n") + "\n"));
    }
}

fn failures(text: &mut String, samples: &Samples) {
    let told = samples.0.iter().filter(|s| s.failed_checks.is_some() || !s.errors.is_empty() || !s.notes.is_empty());
    let lines: Vec<String> = told
        .map(|sample| {
            let failed = sample.failed_checks.iter().map(|failed| format!("**failed**: {failed}"));
            let errors = sample.errors.iter().map(|(code, count)| format!("{count} answers {code:?}"));
            let all: Vec<String> = failed.chain(errors).chain(sample.notes.iter().cloned()).collect();
            let one_line = all.join("; ").replace('\n', " ");
            format!("- {}, {}, round {}: {one_line}", sample.case, sample.side.name(), sample.round)
        })
        .collect();
    if !lines.is_empty() {
        text.push_str("\nNotes:\n\n");
        text.push_str(&(lines.join("\n") + "\n"));
    }
}

/// `1234567.8` as `1,234,568`.
pub fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{Durability, groups};
    use crate::run::verdict;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(0.4), "0");
        assert_eq!(thousands(999.0), "999");
        assert_eq!(thousands(1_234_567.8), "1,234,568");
    }

    #[test]
    fn a_row_has_rounds_spread_ratio_and_verdict() {
        let case = "send/1KiB/64x16";
        let mut samples = Samples::default();
        for (side, round, cpu) in
            [(Side::Java, 1, 30.0), (Side::Ours, 1, 2.0), (Side::Java, 2, 50.0), (Side::Ours, 2, 4.0)]
        {
            let mut sample = Sample::new(case, side, round, Durability::Async);
            sample.measured(1_000_000, 10.0, cpu);
            samples.0.push(sample);
        }
        let groups = crate::cases::select(groups(false), Some(case));
        let verdicts = verdict::judge(&groups[0].cases[0], &samples);
        let mut text = String::new();
        row(&mut text, case, &groups[0], &samples, &verdicts);
        assert!(text.contains("| ASYNC_FLUSH | 2 | 100,000 : 100,000 (**1.00**) |"), "{text}");
        assert!(text.contains("3.00 ±33% : 40.0 ±25% (**0.075**)"), "{text}");
        assert!(text.contains("met: CPU ≤ 0.100 of Java's (0.075)"), "{text}");
    }
}
