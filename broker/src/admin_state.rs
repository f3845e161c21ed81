//! What only administration asks for: totals by day and the version of the configuration.

use hypergol_config::UpdateReport;
use hypergol_remoting::protocol::body::topic::DataVersion;
use hypergol_remoting::protocol::fastjson::Body;
use parking_lot::Mutex;

use crate::config;
use crate::context::Broker;
use crate::runtime_info::DayTotals;

/// State of administration.
#[derive(Debug, Default)]
pub struct AdminState {
    /// Totals at the last midnights.
    pub day_totals: DayTotals,
    config_version: Mutex<DataVersion>,
}

impl AdminState {
    /// Version of the configuration as JSON; it counts up with each change at run time.
    pub fn config_version(&self) -> String {
        String::from_utf8(self.config_version.lock().encode()).unwrap_or_default()
    }

    /// Notes that settings were changed at run time. Name servers learn of a changed permission at once.
    pub fn config_changed(&self, broker: &Broker, report: &UpdateReport) {
        self.config_version.lock().next_version(0);
        for change in &report.changed {
            tracing::info!(
                key = change.name,
                from = change.from,
                to = change.to,
                live = change.live,
                "setting changed"
            );
        }
        let is_changed = |key: &str| report.changed.iter().any(|change| change.name == key);
        config::warn_of_ineffective(&broker.config(), is_changed);
        if is_changed("brokerPermission") {
            broker.topics.changes().add_everything();
        }
    }
}
