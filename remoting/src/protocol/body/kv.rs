//! A table of texts.

use std::collections::BTreeMap;

use crate::body;

body! {
    /// Texts by key: run-time figures, KV configuration.
    #[derive(Eq)]
    pub struct KVTable {
        /// The entries.
        "table" table: BTreeMap<String, String>,
    }

    /// The file `kvConfig.json` of a name server.
    #[derive(Eq)]
    pub struct KVConfigSerializeWrapper {
        /// Namespace to key to value.
        "configTable" config_table: BTreeMap<String, BTreeMap<String, String>>,
    }
}
