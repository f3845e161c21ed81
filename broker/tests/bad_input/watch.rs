//! What must not happen unseen: panics of any thread, and memory that grows.

use std::panic;
use std::sync::{Mutex, Once};

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static INSTALL: Once = Once::new();

/// Notes panics from now on; threads and tasks of a broker survive most of them, and only log.
pub fn panics() {
    INSTALL.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let thread = std::thread::current().name().unwrap_or_default().to_owned();
            // A test that fails says so itself; its thread has its path for a name.
            if !thread.contains("::") {
                PANICS.lock().unwrap().push(format!("{thread}: {info}"));
            }
            before(info);
        }));
    });
}

/// Fails when a thread has panicked, whichever test it worked for.
#[track_caller]
pub fn no_panics() {
    let seen = PANICS.lock().unwrap().clone();
    assert!(seen.is_empty(), "{} panics, the first: {}", seen.len(), seen[0]);
}

/// Bytes of memory that this process has in use, without those of files.
pub fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}
