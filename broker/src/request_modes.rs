//! Whether a group pulls or pops a topic, kept in `config/messageRequestMode.json`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hypergol_remoting::protocol::body::assignment::{
    MessageRequestModeSerializeWrapper, SetMessageRequestModeRequestBody,
};
use hypergol_remoting::protocol::fastjson::Body;
use parking_lot::Mutex;

use crate::error::BrokerError;
use crate::persist::{self, ConfigFile, ConfigWriter, WrittenCallback};

const FILE: &str = "messageRequestMode.json";

/// Topic to group to mode.
type Table = BTreeMap<String, BTreeMap<String, SetMessageRequestModeRequestBody>>;

/// The modes that administrators have set.
pub struct RequestModes {
    table: Arc<Mutex<Table>>,
    file: ConfigFile,
}

impl RequestModes {
    /// Loads the file of `folder`.
    ///
    /// # Errors
    /// [`BrokerError::Damaged`].
    pub fn load(folder: &Path, writer: &ConfigWriter) -> Result<Self, BrokerError> {
        let loaded = persist::load::<MessageRequestModeSerializeWrapper>(folder, FILE)?;
        let table = Arc::new(Mutex::new(loaded.map(|file| file.message_request_mode_map).unwrap_or_default()));
        let file = writer.file(FILE, {
            let table = table.clone();
            move || wrapper(&table).encode_pretty()
        });
        Ok(Self { table, file })
    }

    /// What was set for a group and a topic.
    pub fn get(&self, topic: &str, group: &str) -> Option<SetMessageRequestModeRequestBody> {
        self.table.lock().get(topic)?.get(group).cloned()
    }

    /// Sets a mode; `written` is called when it is on disk. The caller has checked that topic and group exist, which
    /// bounds the table.
    pub fn set(&self, mode: SetMessageRequestModeRequestBody, written: WrittenCallback) {
        self.table.lock().entry(mode.topic.clone()).or_default().insert(mode.consumer_group.clone(), mode);
        self.file.written(written);
    }

    /// All modes, as GET_ALL_MESSAGE_REQUEST_MODE answers them.
    pub fn encode(&self) -> Vec<u8> {
        wrapper(&self.table).encode()
    }
}

fn wrapper(table: &Mutex<Table>) -> MessageRequestModeSerializeWrapper {
    MessageRequestModeSerializeWrapper { message_request_mode_map: table.lock().clone() }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use hypergol_remoting::protocol::body::assignment::MessageRequestMode;

    use super::*;

    #[test]
    fn modes_outlive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mode = SetMessageRequestModeRequestBody {
            consumer_group: "G".into(),
            mode: MessageRequestMode::Pop,
            pop_share_queue_num: 1,
            topic: "T".into(),
        };
        {
            let writer = ConfigWriter::start(folder.path().to_owned());
            let modes = RequestModes::load(folder.path(), &writer).unwrap();
            let (sender, receiver) = mpsc::channel();
            modes.set(mode.clone(), Box::new(move |result| sender.send(result).unwrap()));
            receiver.recv().unwrap().unwrap();
        }
        let writer = ConfigWriter::start(folder.path().to_owned());
        let modes = RequestModes::load(folder.path(), &writer).unwrap();
        assert_eq!(modes.get("T", "G"), Some(mode));
        assert_eq!(modes.get("T", "H"), None);
        // As Java 5.5.0 answers code 402.
        let expected = r#"{"messageRequestModeMap":{"T":{"G":{"consumerGroup":"G","mode":"POP","popShareQueueNum":1,"topic":"T"}}}}"#;
        assert_eq!(String::from_utf8(modes.encode()).unwrap(), expected);
    }
}
