//! Plots as SVG, drawn by hand: a few lines over two axes need no library.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;

use super::generator::Latency;
use super::result::{Samples, Side};
use super::table::thousands;
use super::verdict::short;
use crate::cases::{Group, Work};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 170.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 60.0;
const SIDES: [Side; 4] = [Side::Java, Side::Ours, Side::Null, Side::Raw];
/// In the order of [`SIDES`].
const COLORS: [&str; 4] = ["#d62728", "#1f77b4", "#7f7f7f", "#2ca02c"];

/// How a percentile is read from a latency.
type Figure = fn(&Latency) -> f64;
/// The percentiles that are told.
pub const PERCENTILES: [(&str, Figure); 6] = [
    ("p50", |l| l.p50),
    ("p90", |l| l.p90),
    ("p99", |l| l.p99),
    ("p99.9", |l| l.p99_9),
    ("p99.99", |l| l.p99_99),
    ("max", |l| l.max),
];

/// A line: name, colour, a value for each place on the x axis.
struct Line {
    name: &'static str,
    color: &'static str,
    values: Vec<Option<f64>>,
}

/// Writes every plot that the samples give into `folder`; returns the names of the files.
///
/// # Errors
/// When a file cannot be written.
pub fn write_all(folder: &Path, groups: &[Group], samples: &Samples) -> Result<Vec<String>> {
    let mut written = Vec::new();
    let mut write = |name: String, svg: Option<String>| -> Result<()> {
        if let Some(svg) = svg {
            std::fs::write(folder.join(&name), svg)?;
            written.push(name);
        }
        Ok(())
    };
    let cases: Vec<_> = groups.iter().flat_map(|group| &group.cases).collect();
    for case in &cases {
        let timed = match &case.work {
            Work::Tail(_) | Work::Orderly(_) => true,
            Work::Send(send) => send.rate.is_some(),
            Work::Drain { beside, .. } => beside.is_some(),
            _ => false,
        };
        if timed {
            let name = format!("latency-{}.svg", case.name.replace('/', "-"));
            write(name, latency(&case.name, samples))?;
        }
    }
    for (prefix, connections) in
        [("send/128B", 16), ("send/1KiB", 1), ("send/1KiB", 16), ("send/4KiB", 16), ("sync/1KiB", 0)]
    {
        let name = format!("rate-{}-{connections}.svg", prefix.replace('/', "-"));
        write(name, in_flight(prefix, connections, samples))?;
    }
    for (prefix, title, x_title) in [
        ("send/1KiB", "sends of 1 KiB: server CPU seconds per million messages", "in flight x connections"),
        ("kind/", "server CPU seconds per million messages", "kind of messages"),
    ] {
        let names: Vec<&str> =
            cases.iter().map(|case| case.name.as_str()).filter(|name| name.starts_with(prefix)).collect();
        let name = format!("cpu-{}.svg", prefix.trim_end_matches('/').replace('/', "-"));
        write(name, cpu(title, x_title, &names, samples))?;
    }
    Ok(written)
}

fn latency(case: &str, samples: &Samples) -> Option<String> {
    let lines = lines(|side| {
        PERCENTILES.map(|(_, of)| samples.median(case, side, |sample| sample.latency_us.as_ref().map(of))).into()
    });
    let places: Vec<String> = PERCENTILES.iter().map(|(name, _)| (*name).to_owned()).collect();
    chart(&format!("{case}: latency (µs)"), "percentile of requests", &places, &lines)
}

fn in_flight(prefix: &str, connections: u32, samples: &Samples) -> Option<String> {
    let depths = [1, 16, 64, 512];
    let lines = lines(|side| {
        depths
            .map(|depth| {
                // One in flight needs one connection; SYNC_FLUSH cases choose their own.
                let connections = if connections == 0 { depth.min(16) } else { connections.min(depth) };
                samples.median(&format!("{prefix}/{depth}x{connections}"), side, |sample| Some(sample.rate))
            })
            .into()
    });
    let title = match connections {
        0 => format!("{prefix}, SYNC_FLUSH: messages per second"),
        n => format!("{prefix}, {n} connections: messages per second"),
    };
    chart(&title, "requests in flight", &depths.map(|depth| depth.to_string()), &lines)
}

fn cpu(title: &str, x_title: &str, cases: &[&str], samples: &Samples) -> Option<String> {
    let lines = lines(|side| {
        cases.iter().map(|case| samples.median(case, side, |sample| Some(sample.cpu_per_million))).collect()
    });
    let places: Vec<String> = cases.iter().map(|case| case.rsplit('/').next().unwrap_or(case).to_owned()).collect();
    chart(title, x_title, &places, &lines)
}

fn lines(values: impl Fn(Side) -> Vec<Option<f64>>) -> Vec<Line> {
    let line = |(side, color): (Side, &'static str)| Line { name: side.name(), color, values: values(side) };
    SIDES.into_iter().zip(COLORS).map(line).filter(|line| line.values.iter().any(Option::is_some)).collect()
}

/// Lines over named places, with a logarithmic y axis; nothing where there is nothing to draw.
fn chart(title: &str, x_title: &str, places: &[String], lines: &[Line]) -> Option<String> {
    let values = || lines.iter().flat_map(|line| &line.values).flatten().copied().filter(|value| *value > 0.0);
    let low = values().reduce(f64::min)?.log10().floor();
    let high = values().reduce(f64::max)?.log10().ceil().max(low + 1.0);
    let step = (WIDTH - LEFT - RIGHT) / (places.len().max(2) - 1) as f64;
    let x = |index: usize| LEFT + step * index as f64;
    let y = |value: f64| HEIGHT - BOTTOM - (value.log10() - low) / (high - low) * (HEIGHT - TOP - BOTTOM);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>\n",
        escaped(title)
    );
    for exponent in low as i32..=high as i32 {
        let value = 10f64.powi(exponent);
        let at = y(value);
        let label = if value >= 1.0 { thousands(value) } else { short(value) };
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0,
        );
    }
    for (index, place) in places.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(index),
            HEIGHT - BOTTOM + 20.0,
            escaped(place)
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 14.0,
        escaped(x_title)
    );
    for (number, line) in lines.iter().enumerate() {
        let points: Vec<(f64, f64, f64)> = line
            .values
            .iter()
            .enumerate()
            .filter_map(|(index, value)| value.filter(|value| *value > 0.0).map(|value| (x(index), y(value), value)))
            .collect();
        let path: Vec<String> = points.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
        let color = line.color;
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        for (x, y, value) in points {
            let shown = if value >= 100.0 { thousands(value) } else { short(value) };
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\"><title>{shown}</title></circle>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"10\" fill=\"{color}\">{shown}</text>",
                y - 7.0
            );
        }
        let legend = TOP + 18.0 * number as f64 + 10.0;
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{legend:.1}\" fill=\"{color}\">■ {}</text>",
            WIDTH - RIGHT + 30.0,
            line.name
        );
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert!(chart("t", "x", &["a".to_owned()], &[]).is_none());
        let zero = Line { name: "ours", color: "red", values: vec![Some(0.0), None] };
        assert!(chart("t", "x", &["a".to_owned(), "b".to_owned()], &[zero]).is_none());
    }

    #[test]
    fn larger_values_are_higher() {
        let line = Line { name: "ours", color: "red", values: vec![Some(10.0), Some(1000.0)] };
        let svg = chart("a < b", "x", &["a".to_owned(), "b".to_owned()], &[line]).expect("two points");
        assert!(svg.contains("a &lt; b"));
        let points = svg.split("points=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a line");
        let ys: Vec<f64> = points.split(' ').filter_map(|p| p.split(',').nth(1)?.parse().ok()).collect();
        assert!(ys[0] > ys[1], "{points}");
    }
}
