//! The configuration of a running server: read without waiting, shown and changed from outside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::error::ConfigError;
use crate::files;
use crate::properties::{self, Entry, Properties};
use crate::settings::{self, Settings};
use crate::table::Apply;

/// Settings that change while a server runs.
///
/// There are two views. [`Self::load`] is what the server works with. [`Self::text`] is what is shown and stored: it
/// also has the unknown keys of the start file, and changes that wait for the next start.
#[derive(Debug)]
pub struct Live<S> {
    current: ArcSwap<S>,
    /// Every key that has a value, by name. Also serializes changes.
    shown: Mutex<BTreeMap<String, String>>,
    /// Keys among them that are stored and not shown.
    secret: Vec<&'static str>,
    /// The file that changes are written to.
    path: PathBuf,
}

/// One key that an update changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub name: String,
    /// The value it had, as shown; empty for none.
    pub from: String,
    /// The value it has.
    pub to: String,
    /// Whether the running server works with it already.
    pub live: bool,
}

/// What an update did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateReport {
    /// The keys that have another value now.
    pub changed: Vec<Change>,
    /// The keys that are not there and therefore had no effect.
    pub ignored: Vec<String>,
}

impl<S: Settings> Live<S> {
    /// Wraps what was read at the start. `start_file` gives the unknown keys to show; updates are written to `path`.
    pub fn new(settings: S, start_file: &Properties, path: PathBuf) -> Self {
        let mut shown = BTreeMap::new();
        let tables = settings.shown_tables();
        for (name, entry) in start_file.iter() {
            if !tables.iter().any(|table| table.keys().iter().any(|key| key.is_named(name))) {
                shown.insert(name.to_owned(), entry.value.clone());
            }
        }
        for table in tables {
            for key in table.keys() {
                if let Some(value) = table.get(key.name) {
                    shown.insert(key.name.to_owned(), value);
                }
            }
        }
        let rows = settings.tables().into_iter().flat_map(|table| table.keys());
        let secret = rows.filter(|key| key.secret).map(|key| key.name).collect();
        Self { current: ArcSwap::from_pointee(settings), shown: Mutex::new(shown), secret, path }
    }

    /// The values that count now. Cheap enough for every request.
    pub fn load(&self) -> arc_swap::Guard<Arc<S>> {
        self.current.load()
    }

    /// The file that updates are written to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `key=value` lines sorted by key, as the answer to GET_*_CONFIG. Values stand as they are, without escapes;
    /// passwords do not stand there.
    pub fn text(&self) -> String {
        let shown = self.shown.lock();
        let told = shown.iter().filter(|(key, _)| !self.secret.contains(&key.as_str()));
        told.map(|(key, value)| format!("{key}={value}\n")).collect()
    }

    /// Changes what the .properties text `body` has, and writes the whole set to the file; all or nothing.
    ///
    /// Refuses keys of `black_list` and those that a table declares fixed. A key that is nowhere yet is ignored, as in
    /// Java. Writes and syncs a file: not for a connection's task.
    pub fn update(&self, body: &[u8], black_list: &[&str]) -> Result<UpdateReport, ConfigError> {
        let wanted = Properties::parse("update", body)?;
        let mut shown = self.shown.lock();
        let mut next = S::clone(&self.current.load());
        let mut next_shown = shown.clone();
        let mut report = UpdateReport::default();
        // Checks the new values of the keys that wait for the next start.
        let mut scratch = next.clone();
        for (name, entry) in wanted.iter() {
            self.update_key(
                (name, entry),
                black_list,
                &wanted,
                [&mut next, &mut scratch],
                &mut next_shown,
                &mut report,
            )?;
        }
        scratch.check().map_err(ConfigError::Conflict)?;
        next.check().map_err(ConfigError::Conflict)?;
        let file = properties::write(next_shown.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        files::replace(&self.path, file.as_bytes(), true)?;
        *shown = next_shown;
        self.current.store(Arc::new(next));
        Ok(report)
    }

    fn update_key(
        &self,
        (name, entry): (&str, &Entry),
        black_list: &[&str],
        wanted: &Properties,
        [next, scratch]: [&mut S; 2],
        shown: &mut BTreeMap<String, String>,
        report: &mut UpdateReport,
    ) -> Result<(), ConfigError> {
        let row = scratch.tables().iter().find_map(|table| table.keys().iter().find(|key| key.is_named(name)));
        let refused = |key: &str| black_list.contains(&key);
        if refused(name) || row.is_some_and(|key| key.apply == Apply::Fixed || refused(key.name)) {
            return Err(ConfigError::NotAllowed(name.to_owned()));
        }
        let shown_name = row.map_or(name, |key| key.name);
        if row.is_none() && !shown.contains_key(name) {
            report.ignored.push(name.to_owned());
            return Ok(());
        }
        let mut value = entry.value.clone();
        let mut live = false;
        for table in scratch.tables_mut() {
            let Some(key) = table.keys().iter().find(|key| key.is_named(name)) else { continue };
            settings::set(table, key, &entry.value, wanted, entry.line)?;
            value = table.get(key.name).unwrap_or_default();
        }
        for table in next.tables_mut() {
            let Some(key) = table.keys().iter().find(|key| key.is_named(name)) else { continue };
            if key.apply == Apply::Live {
                live = true;
                settings::set(table, key, &entry.value, wanted, entry.line)?;
            }
        }
        let before = shown.insert(shown_name.to_owned(), value.clone()).unwrap_or_default();
        if before != value {
            report.changed.push(Change { name: shown_name.to_owned(), from: before, to: value, live });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::Both;
    use std::fs;

    fn live(folder: &Path) -> Live<Both> {
        let file = Properties::parse("x.conf", b"custom=a\nlistenPort=5\nenabel=true").unwrap();
        let mut both = Both::default();
        settings::apply(&mut both, &file).unwrap();
        let path = folder.join("conf/x.conf");
        files::replace(&path, b"old", false).unwrap();
        Live::new(both, &file, path)
    }

    #[test]
    fn shows_all_keys_sorted_and_the_unknown_ones() {
        let folder = tempfile::tempdir().unwrap();
        let text = live(folder.path()).text();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.is_sorted());
        for line in ["custom=a", "listenPort=5", "enable=true", "bindAddress=0.0.0.0", "flush=ASYNC_FLUSH"] {
            assert!(lines.contains(&line), "{line} in {text}");
        }
        assert!(!text.contains("home="), "absent as in Java: null");
        assert!(!text.contains("enabel"));
    }

    #[test]
    fn an_update_is_live_or_waits_and_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let live = live(folder.path());
        let report = live.update(b"interval=7\nlistenPort=6\ncustom=b\\\\c\nnew=1\nratio=1.0\n", &[]).unwrap();
        assert_eq!(report.ignored, ["new"]);
        let change = |name: &str, from: &str, to: &str, live| Change {
            name: name.into(),
            from: from.into(),
            to: to.into(),
            live,
        };
        let expected = [
            change("custom", "a", "b\\c", false),
            change("interval", "5000", "7", true),
            change("listenPort", "5", "6", false),
        ];
        assert_eq!(report.changed, expected);
        assert_eq!((live.load().example.interval, live.load().example.port), (7, 5));
        let text = live.text();
        assert!(text.contains("listenPort=6\n") && text.contains("custom=b\\c\n") && !text.contains("new="), "{text}");
        // The file gives the same set again.
        let again = Properties::read(live.path()).unwrap();
        let lines: String = again.iter().map(|(k, e)| format!("{k}={}\n", e.value)).collect();
        assert_eq!(lines, text);
        assert_eq!(fs::read(folder.path().join("conf/x.conf.bak")).unwrap(), b"old");
    }

    #[test]
    fn a_refused_update_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let live = live(folder.path());
        let before = live.text();
        for (body, message) in [
            ("interval=8\npath=/etc", "the key path cannot be updated at run time"),
            ("enabel=false", "the key enabel cannot be updated at run time"),
            ("interval=x", "update:1: interval must be a long, not \"x\""),
            ("interval=8\nlistenPort=y", "update:2: listenPort must be an int, not \"y\""),
            ("listenPort=13", "port 13 is taken"),
            ("a=\\u1", "update:1: malformed \\uxxxx escape"),
        ] {
            assert_eq!(live.update(body.as_bytes(), &["enable"]).unwrap_err().to_string(), message);
        }
        assert_eq!(live.text(), before);
        assert_eq!(fs::read(live.path()).unwrap(), b"old");
        assert_eq!(live.load().example.interval, 5000);
    }
}
