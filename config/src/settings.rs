//! A set of tables that one file fills: a server's whole configuration.

use crate::error::ConfigError;
use crate::properties::Properties;
use crate::table::{Key, Table};

/// A server's tables. The order counts where two have a key of the same name: the later one is shown.
pub trait Settings: Clone + Send + Sync + 'static {
    /// The tables.
    fn tables(&self) -> Vec<&dyn Table>;

    /// The tables, to be changed.
    fn tables_mut(&mut self) -> Vec<&mut dyn Table>;

    /// The tables that the config requests show; the others are only read at the start.
    fn shown_tables(&self) -> Vec<&dyn Table> {
        self.tables()
    }

    /// Says what is wrong with values that are each well-formed but do not go together.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A key of a file that is in no table. It is kept and shown, and has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKey {
    /// The key.
    pub name: String,
    /// The file.
    pub file: String,
    /// Line of the key, from 1.
    pub line: usize,
}

/// Sets what `properties` has. Returns the keys that no table has; fails at the first value that its key cannot have.
///
/// An empty value leaves all but texts at their default.
pub fn apply<S: Settings>(settings: &mut S, properties: &Properties) -> Result<Vec<UnknownKey>, ConfigError> {
    let mut unknown = Vec::new();
    for (name, entry) in properties.iter() {
        let mut known = false;
        for table in settings.tables_mut() {
            let Some(key) = table.keys().iter().find(|key| key.is_named(name)) else { continue };
            known = true;
            // The row's own name wins over an alias of it in the same file.
            if name != key.name && properties.get(key.name).is_some() {
                continue;
            }
            set(table, key, &entry.value, properties, entry.line)?;
        }
        if !known {
            unknown.push(UnknownKey { name: name.to_owned(), file: properties.source.clone(), line: entry.line });
        }
    }
    settings.check().map_err(ConfigError::Conflict)?;
    Ok(unknown)
}

/// Sets one key of a table.
pub(crate) fn set(
    table: &mut dyn Table,
    key: &Key,
    value: &str,
    properties: &Properties,
    line: usize,
) -> Result<(), ConfigError> {
    let text = value.trim();
    if table.set(key.name, text) || text.is_empty() {
        return Ok(());
    }
    Err(ConfigError::IllTyped {
        file: properties.source.clone(),
        line,
        key: key.name.to_owned(),
        expected: key.expected,
        value: text.chars().take(200).collect(),
    })
}

/// What `-p` (all) and `-m` (important only) print: `key=value` lines in the order of the tables.
pub fn print<S: Settings>(settings: &S, important_only: bool) -> String {
    let mut out = String::new();
    for table in settings.tables() {
        for key in table.keys() {
            if (key.important || !important_only) && !key.secret {
                out.push_str(key.name);
                out.push('=');
                out.push_str(&table.get(key.name).unwrap_or_default());
                out.push('\n');
            }
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::table::tests::{Example, Flush};

    #[derive(Clone, Default)]
    pub(crate) struct Both {
        pub(crate) example: Example,
        pub(crate) server: crate::NettyServerConfig,
    }

    impl Settings for Both {
        fn tables(&self) -> Vec<&dyn Table> {
            vec![&self.example, &self.server]
        }

        fn tables_mut(&mut self) -> Vec<&mut dyn Table> {
            vec![&mut self.example, &mut self.server]
        }

        fn check(&self) -> Result<(), String> {
            if self.example.port == 13 { Err("port 13 is taken".into()) } else { Ok(()) }
        }
    }

    fn applied(text: &str) -> Result<(Both, Vec<UnknownKey>), ConfigError> {
        let mut both = Both::default();
        let unknown = apply(&mut both, &Properties::parse("a.conf", text.as_bytes())?)?;
        Ok((both, unknown))
    }

    #[test]
    fn a_file_fills_every_table_that_has_the_key() {
        let (both, unknown) = applied("listenPort = 15 \nflush=SYNC_FLUSH\nfoo=1\nratio=\nenabel=true\n").unwrap();
        assert_eq!((both.example.port, both.server.listen_port), (15, 15));
        assert_eq!(both.example.flush, Flush::Sync);
        assert!(both.example.enable);
        assert_eq!(both.example.ratio, 1.0, "an empty value keeps the default");
        assert_eq!(unknown, [UnknownKey { name: "foo".into(), file: "a.conf".into(), line: 3 }]);
    }

    #[test]
    fn the_right_name_wins_over_the_misspelt_one() {
        assert!(!applied("enabel=true\nenable=false").unwrap().0.example.enable);
        assert!(applied("enable=true\nenabel=false").unwrap().0.example.enable);
    }

    #[test]
    fn a_bad_value_is_named_with_its_place() {
        let error = applied("#\nlistenPort=99x").err().unwrap();
        assert_eq!(error.to_string(), "a.conf:2: listenPort must be an int, not \"99x\"");
        assert_eq!(applied("listenPort=13").err().unwrap().to_string(), "port 13 is taken");
    }

    #[test]
    fn prints_all_or_the_important() {
        let both = Both::default();
        assert_eq!(print(&both, true), "listenPort=9876\n");
        let all = print(&both, false);
        assert!(
            all.starts_with("listenPort=9876\ninterval=5000\nratio=1.0\nenable=false\npath=/tmp\nhome=\n"),
            "{all}"
        );
        assert!(all.contains("\nbindAddress=0.0.0.0\n"));
    }
}
