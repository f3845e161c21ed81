//! Names of lite topics. Java: `LiteUtil`.

use hypergol_store::light;

/// How the light queues of lite topics start.
pub const PREFIX: &str = "%LMQ%$";
/// Between parent and lite topic; legal in no topic's name.
const SEPARATOR: char = '$';

/// The light queue of a lite topic; `None` for a name that no lite topic can have. A comma would name another light queue.
pub fn queue_of(parent: &str, lite: &str) -> Option<String> {
    if parent.is_empty() || lite.is_empty() || parent.contains([SEPARATOR, ',']) || lite.contains([SEPARATOR, ',']) {
        return None;
    }
    Some(format!("{PREFIX}{parent}{SEPARATOR}{lite}")).filter(|name| light::is_legal(name))
}

/// Whether this is the light queue of a lite topic.
pub fn is_lite(queue: &str) -> bool {
    queue.starts_with(PREFIX)
}

/// Parent and lite topic of a light queue.
pub fn split(queue: &str) -> Option<(&str, &str)> {
    let (parent, lite) = queue.strip_prefix(PREFIX)?.split_once(SEPARATOR)?;
    (!parent.is_empty() && !lite.is_empty() && !lite.contains(SEPARATOR)).then_some((parent, lite))
}

/// Whether a light queue is that of a lite topic below `parent`.
pub fn belongs_to(queue: &str, parent: &str) -> bool {
    split(queue).is_some_and(|(known, _)| known == parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_together_and_taken_apart() {
        assert_eq!(queue_of("p", "l").as_deref(), Some("%LMQ%$p$l"));
        assert_eq!(split("%LMQ%$p$l"), Some(("p", "l")));
        assert!(belongs_to("%LMQ%$p$l", "p") && !belongs_to("%LMQ%$pp$l", "p"));
        for (parent, lite) in [("", "l"), ("p", ""), ("p", "a$b"), ("p", "a,%LMQ%b"), ("p$q", "l"), ("p", "../x")] {
            assert_eq!(queue_of(parent, lite), None, "{parent} {lite}");
        }
        for queue in ["%LMQ%a", "%LMQ%$p", "%LMQ%$p$", "%LMQ%$$l", "%LMQ%$p$l$m", "T"] {
            assert_eq!(split(queue), None, "{queue}");
        }
    }
}
