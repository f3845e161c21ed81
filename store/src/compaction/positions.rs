//! `position-checkpoint`: of each queue, the queue offset up to which keys were compared. Java's file:
//! `{"queueOffsetMap":{"TOPIC_QUEUE":OFFSET,…}}`. Lost, it is only work that is done again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::error::StoreError;
use crate::folder;

/// Name of the file.
const FILE: &str = "position-checkpoint";

/// See the module text.
pub struct Positions {
    path: PathBuf,
    offsets: Mutex<BTreeMap<String, i64>>,
}

fn key(topic: &str, queue_id: i32) -> String {
    format!("{topic}_{queue_id}")
}

/// Every `"name":number` of a text; names of topics need no escapes.
fn parse(text: &str) -> BTreeMap<String, i64> {
    let mut offsets = BTreeMap::new();
    let mut parts = text.split('"');
    parts.next();
    // Quoted and unquoted texts alternate.
    while let (Some(name), Some(behind)) = (parts.next(), parts.next()) {
        let number = behind.trim_start().strip_prefix(':').map(|rest| {
            let rest = rest.trim_start();
            &rest[..rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len())]
        });
        if let Some(offset) = number.and_then(|number| number.parse().ok()) {
            offsets.insert(name.to_owned(), offset);
        }
    }
    offsets
}

impl Positions {
    /// Reads the file in the folder `root`, which need not be there.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be read.
    pub fn load(root: &Path) -> Result<Self, StoreError> {
        let path = root.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(StoreError::io("read", path, error)),
        };
        Ok(Positions { path, offsets: Mutex::new(parse(&text)) })
    }

    /// The position of a queue, -1 before its first compaction.
    pub fn get(&self, topic: &str, queue_id: i32) -> i64 {
        self.offsets.lock().get(&key(topic, queue_id)).copied().unwrap_or(-1)
    }

    /// Notes a position, on disk on return.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn set(&self, topic: &str, queue_id: i32, offset: i64) -> Result<(), StoreError> {
        let mut offsets = self.offsets.lock();
        offsets.insert(key(topic, queue_id), offset);
        self.write(&offsets)
    }

    /// Forgets a queue.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove(&self, topic: &str, queue_id: i32) -> Result<(), StoreError> {
        let mut offsets = self.offsets.lock();
        match offsets.remove(&key(topic, queue_id)) {
            Some(_) => self.write(&offsets),
            None => Ok(()),
        }
    }

    fn write(&self, offsets: &BTreeMap<String, i64>) -> Result<(), StoreError> {
        let entries: Vec<String> = offsets.iter().map(|(name, offset)| format!("\t\t\"{name}\":{offset}")).collect();
        let text = format!("{{\n\t\"queueOffsetMap\":{{\n{}\n\t}}\n}}", entries.join(",\n"));
        let new = self.path.with_extension("tmp");
        let failed = |error| StoreError::io("write", &self.path, error);
        std::fs::write(&new, text).and_then(|()| std::fs::File::open(&new)?.sync_all()).map_err(failed)?;
        std::fs::rename(&new, &self.path).map_err(failed)?;
        self.path.parent().map_or(Ok(()), folder::sync)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_and_java_s_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let positions = Positions::load(folder.path()).unwrap();
        assert_eq!(positions.get("T", 0), -1);
        positions.set("T", 0, 5).unwrap();
        positions.set("T_1", 2, 1 << 40).unwrap();
        positions.remove("other", 2).unwrap();
        let again = Positions::load(folder.path()).unwrap();
        assert_eq!((again.get("T", 0), again.get("T_1", 2), again.get("T", 1)), (5, 1 << 40, -1));
        again.remove("T", 0).unwrap();
        assert_eq!(Positions::load(folder.path()).unwrap().get("T", 0), -1);

        let java = "{\n\t\"empty\":false,\n\t\"queueOffsetMap\":{\"T_0\":7,\"T_1\" : -1,\"x\":1.5\n\t}\n}";
        let read = parse(java);
        assert_eq!((read.get("T_0"), read.get("T_1"), read.get("empty")), (Some(&7), Some(&-1), None));
        for end in 0..java.len() {
            let _ = parse(&java[..end]);
        }
    }
}
