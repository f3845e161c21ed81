//! The `sh` of images that are built from scratch.
//!
//! Compose files written for RocketMQ's own image start the servers as `sh mqbroker -n namesrv:9876`, or as
//! `sh -c "mqbroker -n namesrv:9876"`. There is no shell here; this program understands those two forms and replaces
//! itself by the server. `./`, a folder and quotes around a word are taken, `exec` is passed over; anything that would
//! need a real shell is refused.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// What may be started; it lies beside this program's target folder.
const SERVERS: [&str; 3] = ["mqnamesrv", "mqbroker", "hypergol"];
/// Where the images keep the servers.
const BIN: &str = "/home/rocketmq/rocketmq-5.5.0/bin";
/// Exit code of a shell that cannot find a command.
const NOT_FOUND: u8 = 127;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let error = match words(arguments) {
        Ok(words) => start(&words),
        Err(error) => error,
    };
    eprintln!("sh: {error}");
    ExitCode::from(NOT_FOUND)
}

/// Replaces this process; returns only what kept it from doing so.
fn start(words: &[String]) -> String {
    let Some((command, arguments)) = words.split_first() else {
        return format!("this image has no shell; it starts one of {}", SERVERS.join(", "));
    };
    let name = Path::new(command).file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if !SERVERS.contains(&name) {
        return format!("{command}: this image has no shell; it starts one of {}", SERVERS.join(", "));
    }
    let program = Path::new(BIN).join(name);
    let error = Command::new(&program).args(arguments).exec();
    format!("{}: {error}", program.display())
}

/// The words of the command: the arguments themselves, or those of the text behind `-c`.
fn words(mut arguments: Vec<String>) -> Result<Vec<String>, String> {
    if arguments.first().map(String::as_str) != Some("-c") {
        return Ok(arguments);
    }
    if arguments.len() < 2 {
        return Err("-c needs a command".to_owned());
    }
    let mut words = split(&arguments.swap_remove(1))?;
    if words.first().map(String::as_str) == Some("exec") {
        words.remove(0);
    }
    Ok(words)
}

/// Splits at blanks; `'` and `"` keep blanks together.
fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (Some('"') | None, '$' | '`' | '\\') | (None, ';' | '&' | '|' | '<' | '>' | '(' | ')' | '*' | '\n') => {
                return Err(format!("{text:?}: this image has no shell, {c:?} is not understood"));
            }
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(format!("{text:?}: a quote is not closed"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> Result<Vec<String>, String> {
        words(arguments.iter().map(|a| a.to_string()).collect())
    }

    #[test]
    fn takes_the_forms_of_existing_compose_files() {
        assert_eq!(of(&["mqbroker", "-n", "a b"]).unwrap(), ["mqbroker", "-n", "a b"]);
        assert_eq!(of(&["-c", "exec mqbroker  -n 'x y' -c \"\""]).unwrap(), ["mqbroker", "-n", "x y", "-c", ""]);
        assert_eq!(of(&[]).unwrap(), [""; 0]);
    }

    #[test]
    fn refuses_what_needs_a_shell() {
        for text in ["mqbroker && ls", "mqbroker $X", "mqbroker 'x", "a\nb", "\"`x`\""] {
            assert!(of(&["-c", text]).is_err(), "{text}");
        }
        assert!(of(&["-c"]).is_err());
        assert!(start(&["ls".to_owned()]).contains("no shell"));
    }
}
