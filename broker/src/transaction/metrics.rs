//! Half messages pending, by real topic: the file `config/transactionMetrics`.
//!
//! Source: `TransactionMetrics.java`. One line of JSON, written every `transactionMetricFlushInterval`.

use std::path::Path;
use std::sync::Arc;

use hypergol_remoting::protocol::body::stats::{Metric, TransactionMetricsSerializeWrapper};
use hypergol_remoting::protocol::fastjson::Body;
use parking_lot::Mutex;
use tracing::warn;

use crate::context::now_ms;
use crate::persist::{self, ConfigFile, ConfigWriter};

/// Name of the file.
pub const FILE: &str = "transactionMetrics";

/// The counts.
pub struct TransactionMetrics {
    table: Arc<Mutex<Table>>,
    file: ConfigFile,
}

#[derive(Default)]
struct Table {
    counts: TransactionMetricsSerializeWrapper,
    changed: bool,
}

impl TransactionMetrics {
    /// Loads the file. Counts of a damaged one are lost: nothing depends on them.
    pub fn load(folder: &Path, writer: &ConfigWriter) -> Self {
        let counts = persist::load(folder, FILE).unwrap_or_else(|error| {
            warn!(%error, "counts of half messages begin anew");
            None
        });
        let table = Arc::new(Mutex::new(Table { counts: counts.unwrap_or_default(), changed: false }));
        let file = writer.file(FILE, {
            let table = table.clone();
            move || table.lock().counts.encode()
        });
        Self { table, file }
    }

    /// Adds to the count of a topic.
    pub fn add(&self, topic: &str, value: i64) {
        let now = now_ms();
        let mut table = self.table.lock();
        table.changed = true;
        table.counts.data_version.next_version(0);
        let counts = &mut table.counts.transaction_count;
        match counts.get_mut(topic) {
            Some(metric) => {
                metric.count = metric.count.saturating_add(value);
                metric.time_stamp = now;
            }
            None => drop(counts.insert(topic.to_owned(), Metric { count: value, time_stamp: now })),
        }
    }

    /// Half messages of a topic that are pending.
    pub fn count(&self, topic: &str) -> i64 {
        self.table.lock().counts.transaction_count.get(topic).map_or(0, |metric| metric.count)
    }

    /// Has the file written if something changed.
    pub fn persist(&self) {
        if std::mem::take(&mut self.table.lock().changed) {
            self.file.changed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_javas_and_survives() {
        let folder = tempfile::tempdir().unwrap();
        let java = r#"{"dataVersion":{"counter":3,"stateVersion":0,"timestamp":5},"transactionCount":{"T":{"count":2,"timeStamp":7}}}"#;
        std::fs::write(folder.path().join(FILE), java).unwrap();
        let writer = ConfigWriter::start(folder.path().to_owned());
        let metrics = TransactionMetrics::load(folder.path(), &writer);
        assert_eq!(metrics.count("T"), 2);
        assert_eq!(String::from_utf8(metrics.table.lock().counts.encode()).unwrap(), java);
        metrics.add("T", -1);
        metrics.add("U", 1);
        metrics.persist();
        writer.shutdown();
        let writer = ConfigWriter::start(folder.path().to_owned());
        let metrics = TransactionMetrics::load(folder.path(), &writer);
        assert_eq!((metrics.count("T"), metrics.count("U"), metrics.count("V")), (1, 1, 0));
        assert_eq!(metrics.table.lock().counts.data_version.counter, 5);
    }

    #[test]
    fn a_damaged_file_is_no_hindrance() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        let writer = ConfigWriter::start(folder.path().to_owned());
        assert_eq!(TransactionMetrics::load(folder.path(), &writer).count("T"), 0);
    }
}
