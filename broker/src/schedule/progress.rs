//! How far each delay level has got, as `config/delayOffset.json` keeps it.

use std::collections::BTreeMap;

use hypergol_remoting::protocol::body::offset::DelayOffsetSerializeWrapper;
use hypergol_remoting::protocol::body::topic::DataVersion;
use hypergol_remoting::protocol::fastjson::{Body, JsonError};

/// Changes of an offset after which the version of the file moves on. Java: delayOffsetUpdateVersionStep, 200.
const VERSION_STEP: u64 = 200;

/// Next queue offset of each level, and what is safe to write to disk.
#[derive(Debug, Default)]
pub struct Progress {
    version: DataVersion,
    offsets: BTreeMap<i32, i64>,
    changes: u64,
    /// End of the log behind everything delivered so far.
    delivered_end: i64,
    /// A state taken earlier that waits for its deliveries to be on disk.
    taken: Option<Taken>,
    /// State that was written last.
    written: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Taken {
    file: Vec<u8>,
    delivered_end: i64,
}

impl From<DelayOffsetSerializeWrapper> for Progress {
    fn from(read: DelayOffsetSerializeWrapper) -> Self {
        Self { version: read.data_version.unwrap_or_default(), offsets: read.offset_table, ..Self::default() }
    }
}

impl Progress {
    /// Reads the file.
    pub fn decode(file: &[u8]) -> Result<Self, JsonError> {
        Ok(DelayOffsetSerializeWrapper::decode(file)?.into())
    }

    /// Next queue offset of a level; `None` where nothing was ever delivered.
    pub fn offset(&self, level: i32) -> Option<i64> {
        self.offsets.get(&level).copied()
    }

    /// Every level with its offset.
    pub fn offsets(&self) -> &BTreeMap<i32, i64> {
        &self.offsets
    }

    /// End of the log behind everything delivered so far.
    pub fn delivered_end(&self) -> i64 {
        self.delivered_end
    }

    /// Moves a level, without a delivery.
    pub fn set(&mut self, level: i32, offset: i64) {
        if self.offsets.insert(level, offset) == Some(offset) {
            return;
        }
        self.changes += 1;
        if self.changes.is_multiple_of(VERSION_STEP) {
            self.version.next_version(0);
        }
    }

    /// Moves a level after a delivery whose record ends at `end`.
    pub fn delivered(&mut self, level: i32, offset: i64, end: i64) {
        self.delivered_end = self.delivered_end.max(end);
        self.set(level, offset);
    }

    /// The offsets as GET_ALL_DELAY_OFFSET answers them.
    pub fn encode(&self) -> Vec<u8> {
        self.wrapper().encode()
    }

    /// What may be written to the file now that the log is on disk up to `flushed`, if it is news. An offset is written
    /// only after the messages delivered before it are on disk: a power cut repeats deliveries, it loses none.
    ///
    /// A state is taken at one call and given out at a later one. The caller reports with [`Progress::wrote`].
    pub fn to_write(&mut self, flushed: i64) -> Option<Vec<u8>> {
        let safe = match self.taken.take() {
            Some(taken) if taken.delivered_end <= flushed => Some(taken.file),
            waiting => {
                self.taken = waiting;
                None
            }
        };
        if self.delivered_end <= flushed {
            self.taken = None;
            return self.news(self.wrapper().encode_pretty());
        }
        if self.taken.is_none() {
            self.taken = Some(Taken { file: self.wrapper().encode_pretty(), delivered_end: self.delivered_end });
        }
        safe.and_then(|file| self.news(file))
    }

    /// Notes that a state given out by [`Progress::to_write`] is on disk.
    pub fn wrote(&mut self, file: Vec<u8>) {
        self.written = Some(file);
    }

    fn news(&self, file: Vec<u8>) -> Option<Vec<u8>> {
        (self.written.as_ref() != Some(&file)).then_some(file)
    }

    fn wrapper(&self) -> DelayOffsetSerializeWrapper {
        DelayOffsetSerializeWrapper { data_version: Some(self.version.clone()), offset_table: self.offsets.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_and_written_in_javas_form() {
        let file =
            b"{\n\t\"dataVersion\":{\n\t\t\"counter\":3,\n\t\t\"stateVersion\":0,\n\t\t\"timestamp\":5\n\t},\n\t\
            \"offsetTable\":{1:17,3:2\n\t}\n}";
        let progress = Progress::decode(file).unwrap();
        assert_eq!(progress.offset(1), Some(17));
        assert_eq!(progress.offset(2), None);
        let expected = r#"{"dataVersion":{"counter":3,"stateVersion":0,"timestamp":5},"offsetTable":{1:17,3:2}}"#;
        assert_eq!(String::from_utf8(progress.encode()).unwrap(), expected);
        assert!(Progress::decode(b"{\"offsetTable\":{1:17}}").is_ok(), "older files lack the version");
        assert!(Progress::decode(b"{\"offsetTable\":").is_err());
    }

    #[test]
    fn the_version_moves_with_every_200th_change() {
        let mut progress = Progress::default();
        for offset in 1..=199 {
            progress.set(1, offset);
            progress.set(1, offset);
        }
        assert_eq!(progress.version.counter, 0);
        progress.set(2, 1);
        assert_eq!(progress.version.counter, 1);
    }

    #[test]
    fn offsets_wait_for_their_deliveries_to_be_on_disk() {
        let offset_in = |file: Option<Vec<u8>>| Progress::decode(&file.unwrap()).unwrap().offset(1);
        let mut progress = Progress::default();
        progress.delivered(1, 1, 100);
        assert_eq!(progress.to_write(50), None);
        progress.delivered(1, 2, 200);
        assert_eq!(offset_in(progress.to_write(150)), Some(1), "the second delivery is not on disk yet");
        assert_eq!(progress.to_write(150), None);
        let last = progress.to_write(200);
        assert_eq!(offset_in(last.clone()), Some(2));
        progress.wrote(last.unwrap());
        assert_eq!(progress.to_write(300), None, "nothing new");
    }
}
