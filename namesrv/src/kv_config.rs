//! The KV configuration: texts by namespace and key, kept in `kvConfig.json`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hypergol_config::{ConfigError, files};
use hypergol_remoting::body;
use hypergol_remoting::protocol::body::kv::KVTable;
use hypergol_remoting::protocol::fastjson::Body;
use parking_lot::Mutex;
use tracing::info;

use crate::error::NamesrvError;

/// The namespace of order configurations: key a topic, value `broker-a:4;broker-b:4`.
pub const ORDER_TOPIC_CONFIG: &str = "ORDER_TOPIC_CONFIG";

/// Bytes of keys and values in all, and of the file. Every change writes the whole file.
const BYTES_MAX: usize = 64 << 20;

body! {
    /// The file. Java: `KVConfigSerializeWrapper`.
    struct KvConfigFile {
        /// Namespace to key to value.
        "configTable" config_table: BTreeMap<String, BTreeMap<String, String>>,
    }
}

/// The KV configuration.
pub struct KvConfig {
    path: PathBuf,
    current: ArcSwap<Table>,
    /// Held while the file is written, so that it never goes back.
    changing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Table {
    /// Grows with every change.
    generation: u64,
    namespaces: BTreeMap<String, Arc<BTreeMap<String, String>>>,
}

impl KvConfig {
    /// Reads the file, where there is one.
    pub fn load(path: PathBuf) -> Result<Self, NamesrvError> {
        let mut namespaces = BTreeMap::new();
        if path.exists() {
            let bytes = files::read(&path, BYTES_MAX)?;
            if !bytes.trim_ascii().is_empty() {
                let file = KvConfigFile::decode(&bytes).map_err(|error| {
                    ConfigError::Conflict(format!("{} is not a KV configuration: {error}", path.display()))
                })?;
                namespaces = file.config_table.into_iter().map(|(name, table)| (name, Arc::new(table))).collect();
            }
        }
        let table = Table { generation: 0, namespaces };
        Ok(Self { path, current: ArcSwap::from_pointee(table), changing: Mutex::new(()) })
    }

    /// The value of a key.
    pub fn get(&self, namespace: &str, key: &str) -> Option<String> {
        self.current.load().namespaces.get(namespace)?.get(key).cloned()
    }

    /// All keys of a namespace as a `KVTable`; a namespace stays when its last key goes.
    pub fn list(&self, namespace: &str) -> Option<Vec<u8>> {
        let table = self.current.load().namespaces.get(namespace)?.clone();
        Some(KVTable { table: table.as_ref().clone() }.encode())
    }

    /// A number that grows with every change.
    pub fn generation(&self) -> u64 {
        self.current.load().generation
    }

    /// Sets a key. Writes and syncs the file: not for a connection's task.
    pub fn put(&self, namespace: &str, key: &str, value: &str) -> Result<(), NamesrvError> {
        self.change(|namespaces| {
            let table = namespaces.entry(namespace.to_owned()).or_default();
            Arc::make_mut(table).insert(key.to_owned(), value.to_owned());
        })?;
        info!(namespace, key, value, "KV configuration set");
        Ok(())
    }

    /// Removes a key, if it is there. Writes and syncs the file: not for a connection's task.
    pub fn delete(&self, namespace: &str, key: &str) -> Result<(), NamesrvError> {
        if self.get(namespace, key).is_none() {
            return Ok(());
        }
        self.change(|namespaces| {
            if let Some(table) = namespaces.get_mut(namespace) {
                Arc::make_mut(table).remove(key);
            }
        })?;
        info!(namespace, key, "KV configuration removed");
        Ok(())
    }

    /// Writes the file first: what cannot be kept is not shown either.
    fn change(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, Arc<BTreeMap<String, String>>>),
    ) -> Result<(), NamesrvError> {
        let _changing = self.changing.lock();
        let before = self.current.load_full();
        let mut namespaces = before.namespaces.clone();
        change(&mut namespaces);
        let config_table = namespaces.iter().map(|(name, table)| (name.clone(), table.as_ref().clone())).collect();
        let bytes = KvConfigFile { config_table }.encode();
        if bytes.len() > BYTES_MAX {
            return Err(NamesrvError::Full("KV configuration"));
        }
        files::replace(&self.path, &bytes, true)?;
        self.current.store(Arc::new(Table { generation: before.generation + 1, namespaces }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn keeps_its_file_in_javas_shape() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("namesrv/kvConfig.json");
        let kv = KvConfig::load(path.clone()).unwrap();
        kv.put(ORDER_TOPIC_CONFIG, "T", "broker-a:4").unwrap();
        kv.put("N", "k \"1\"", "中\n").unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "{\"configTable\":{\"N\":{\"k \\\"1\\\"\":\"中\\n\"},\"ORDER_TOPIC_CONFIG\":{\"T\":\"broker-a:4\"}}}"
        );
        let again = KvConfig::load(path.clone()).unwrap();
        assert_eq!(again.get("N", "k \"1\"").as_deref(), Some("中\n"));
        assert_eq!(again.list(ORDER_TOPIC_CONFIG).unwrap(), br#"{"table":{"T":"broker-a:4"}}"#);
        again.delete(ORDER_TOPIC_CONFIG, "T").unwrap();
        again.delete(ORDER_TOPIC_CONFIG, "T").unwrap();
        again.delete("none", "T").unwrap();
        assert_eq!(again.generation(), 1);
        assert_eq!(again.list(ORDER_TOPIC_CONFIG).unwrap(), br#"{"table":{}}"#);
        assert_eq!(again.list("none"), None);
        assert!(fs::exists(folder.path().join("namesrv/kvConfig.json.bak")).unwrap());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_and_an_empty_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kv.json");
        fs::write(&path, b" \n").unwrap();
        assert_eq!(KvConfig::load(path.clone()).unwrap().list("N"), None);
        fs::write(&path, b"{\"configTable\":{\"N\":").unwrap();
        let error = KvConfig::load(path).err().unwrap().to_string();
        assert!(error.contains("kv.json is not a KV configuration"), "{error}");
    }

    #[test]
    fn what_cannot_be_written_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let kv = KvConfig::load(folder.path().join("file/kv.json")).unwrap();
        fs::write(folder.path().join("file"), b"").unwrap();
        assert!(kv.put("N", "k", "v").is_err());
        assert_eq!(kv.get("N", "k"), None);
    }
}
