//! Configuration files of the servers under test.

use std::path::{Path, PathBuf};

use anyhow::Result;

/// Which tests the cluster is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// As the official `IntegrationTestBase` (5.5.0) configures its in-process brokers.
    Official,
    /// Defaults, small files, SQL92 filters, light queues, and SYNC_FLUSH on `broker-b`.
    Clients,
    /// Defaults and small files: what a Java broker answers is compared with what ours answers.
    Differential,
}

/// Key and value lines of a properties file.
pub type Properties = Vec<(String, String)>;

/// Where a server's configuration file lies in its folder.
pub fn file_in(folder: &Path) -> PathBuf {
    folder.join("server.conf")
}

/// Writes the configuration file of a server into its folder, which is made.
pub fn write(folder: &Path, properties: &Properties) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let file = file_in(folder);
    let text: String = properties.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    std::fs::write(&file, text)?;
    Ok(file)
}

/// The settings of a broker that do not depend on where it runs.
pub fn broker(name: &str, namesrv: &str, flavour: Flavour) -> Properties {
    let mut lines = pairs(&[
        ("brokerClusterName", "DefaultCluster"),
        ("brokerName", name),
        ("brokerId", "0"),
        ("namesrvAddr", namesrv),
        // 100 MiB and small index files: three brokers and two clusters share a machine, and files roll.
        ("mappedFileSizeCommitLog", "104857600"),
        ("maxIndexNum", "1000"),
        ("maxHashSlotNum", "4000"),
        ("deleteWhen", "01;02;03;04;05;06;07;08;09;10;11;12;13;14;15;16;17;18;19;20;21;22;23;00"),
    ]);
    lines.extend(match flavour {
        // A transaction that is asked for in the middle of the test would be a difference by chance, and so would a
        // send that Java refuses because the machine is busy.
        Flavour::Differential => pairs(&[
            ("transactionTimeOut", "3600000"),
            ("recallMessageEnable", "true"),
            ("waitTimeMillsInSendQueue", "10000"),
        ]),
        Flavour::Official => pairs(&[
            ("enablePropertyFilter", "true"),
            ("enableCalcFilterBitMap", "true"),
            ("enableConsumeQueueExt", "true"),
            ("recallMessageEnable", "true"),
            ("appendAckAsync", "true"),
            ("appendCkAsync", "true"),
            ("popConsumerKVServiceInit", "true"),
            ("loadBalancePollNameServerInterval", "500"),
            ("maxTransferCountOnMessageInMemory", "1024"),
            ("maxTransferCountOnMessageInDisk", "1024"),
        ]),
        Flavour::Clients => pairs(&[
            ("flushDiskType", if name == super::BROKERS[1] { "SYNC_FLUSH" } else { "ASYNC_FLUSH" }),
            ("enablePropertyFilter", "true"),
            ("enableLmq", "true"),
            ("enableMultiDispatch", "true"),
            // Compacted within the patience of a test.
            ("compactionScheduleInternal", "1000"),
            ("compactionMappedFileSize", "8192"),
            ("compactionCqMappedFileSize", "1840"),
        ]),
    });
    lines
}

/// Turns literals into [`Properties`].
pub fn pairs(lines: &[(&str, &str)]) -> Properties {
    lines.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_second_broker_flushes_synchronously() {
        let sync = |name| {
            broker(name, "h:1", Flavour::Clients).contains(&("flushDiskType".to_owned(), "SYNC_FLUSH".to_owned()))
        };
        assert_eq!(super::super::BROKERS.map(sync), [false, true, false]);
    }
}
