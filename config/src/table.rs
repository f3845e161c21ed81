//! A configuration key is one row of a [`config_table!`](crate::config_table).
//!
//! ```
//! hypergol_config::config_table! {
//!     /// Settings of an example.
//!     pub struct ExampleConfig {
//!         /// Port to listen on.
//!         listen_port: i32 = 9876; "listenPort" restart() important(),
//!         /// Bytes of a segment.
//!         segment_bytes: i32 = 1 << 30; "mappedFileSizeCommitLog" restart() also(&["mapedFileSizeCommitLog"]),
//!         /// Whether to answer; changes at once.
//!         answering: bool = true; "answering" live(),
//!     }
//! }
//! let config = ExampleConfig::default();
//! assert_eq!(config.listen_port, 9876);
//! ```

/// When a change of a key made from outside takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    /// At once: the running server reads the key whenever it needs it.
    Live,
    /// At the next start: the change is written to the file and shown, the running server keeps what it has.
    Restart,
    /// Never: a change from outside is refused.
    Fixed,
}

/// What a table says of a key, but its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Java's name of the key.
    pub name: &'static str,
    /// What a value must be, for instance `an int`.
    pub expected: &'static str,
    /// Effect of a change at run time.
    pub apply: Apply,
    /// Shown by `-m`. Java: `@ImportantField`.
    pub important: bool,
    /// Never shown to others: a password.
    pub secret: bool,
    /// Other names that are read, misspellings of older releases.
    pub aliases: &'static [&'static str],
}

impl Key {
    /// A key that a change from outside reaches at the next start.
    pub const fn new(name: &'static str, expected: &'static str) -> Self {
        Self { name, expected, apply: Apply::Restart, important: false, secret: false, aliases: &[] }
    }

    /// See [`Apply::Live`].
    pub const fn live(mut self) -> Self {
        self.apply = Apply::Live;
        self
    }

    /// See [`Apply::Restart`].
    pub const fn restart(mut self) -> Self {
        self.apply = Apply::Restart;
        self
    }

    /// See [`Apply::Fixed`].
    pub const fn fixed(mut self) -> Self {
        self.apply = Apply::Fixed;
        self
    }

    /// Shown by `-m`.
    pub const fn important(mut self) -> Self {
        self.important = true;
        self
    }

    /// Never shown.
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Also read under these names.
    pub const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Whether `name` means this key.
    pub fn is_named(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }
}

/// A type that a key can have.
pub trait ConfigValue: Sized {
    /// What an error says that the value must be.
    const EXPECTED: &'static str;

    /// Reads a text without white space around it.
    fn from_text(text: &str) -> Option<Self>;

    /// Java's text of the value; `None` for Java's null.
    fn to_text(&self) -> Option<String>;
}

macro_rules! number {
    ($($ty:ty: $expected:literal),*) => {$(
        impl ConfigValue for $ty {
            const EXPECTED: &'static str = $expected;
            fn from_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }
            fn to_text(&self) -> Option<String> {
                // With Debug a double has its `.0`, as in Java.
                Some(format!("{self:?}"))
            }
        }
    )*};
}

number!(i32: "an int", i64: "a long", f64: "a number");

impl ConfigValue for bool {
    const EXPECTED: &'static str = "true or false";

    /// Stricter than Java, which takes everything but `true` for false.
    fn from_text(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("true") {
            Some(true)
        } else if text.eq_ignore_ascii_case("false") {
            Some(false)
        } else {
            None
        }
    }

    fn to_text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl ConfigValue for String {
    const EXPECTED: &'static str = "a text";

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn to_text(&self) -> Option<String> {
        Some(self.clone())
    }
}

/// A text that is null in Java unless it is set.
impl ConfigValue for Option<String> {
    const EXPECTED: &'static str = "a text";

    fn from_text(text: &str) -> Option<Self> {
        Some(Some(text.to_owned()))
    }

    fn to_text(&self) -> Option<String> {
        self.clone()
    }
}

/// A flag that is neither unless it is set.
impl ConfigValue for Option<bool> {
    const EXPECTED: &'static str = bool::EXPECTED;

    fn from_text(text: &str) -> Option<Self> {
        bool::from_text(text).map(Some)
    }

    fn to_text(&self) -> Option<String> {
        self.map(|flag| flag.to_string())
    }
}

/// A struct whose fields are keys. Implemented by [`config_table!`](crate::config_table) only.
pub trait Table {
    /// The rows, in the order of declaration.
    fn keys(&self) -> &'static [Key];

    /// Text of the value of a key, by its Java name. `None` also for a key that is not of this table.
    fn get(&self, name: &str) -> Option<String>;

    /// Sets a key by its Java name; false when it cannot have this value, or is not of this table.
    #[must_use]
    fn set(&mut self, name: &str, text: &str) -> bool;
}

/// Declares a table: the struct with its defaults, and [`Table`] for it. The form of a row:
///
/// `field: Type = default; "javaName" flags`, where flags are the builder methods of [`Key`].
#[macro_export]
macro_rules! config_table {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $(
                $(#[$doc:meta])+
                $field:ident : $ty:ty = $default:expr; $key:literal $($flag:ident ( $($arg:expr)? ))*
            ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $( $(#[$doc])+ pub $field: $ty, )*
        }

        impl ::core::default::Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $name {
            /// The rows of this table.
            pub const KEYS: &'static [$crate::Key] = &[
                $( $crate::Key::new($key, <$ty as $crate::ConfigValue>::EXPECTED) $( .$flag($($arg)?) )* ),*
            ];
        }

        impl $crate::Table for $name {
            fn keys(&self) -> &'static [$crate::Key] {
                Self::KEYS
            }

            fn get(&self, name: &str) -> ::core::option::Option<::std::string::String> {
                match name {
                    $( $key => $crate::ConfigValue::to_text(&self.$field), )*
                    _ => ::core::option::Option::None,
                }
            }

            fn set(&mut self, name: &str, text: &str) -> bool {
                match name {
                    $( $key => match <$ty as $crate::ConfigValue>::from_text(text) {
                        ::core::option::Option::Some(value) => self.$field = value,
                        ::core::option::Option::None => return false,
                    }, )*
                    _ => return false,
                }
                true
            }
        }
    };
}

/// Declares an enum whose values are texts in a configuration: `Variant = "JAVA_NAME"`.
#[macro_export]
macro_rules! config_enum {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident { $( $(#[$doc:meta])+ $variant:ident = $text:literal ),* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $name { $( $(#[$doc])+ $variant, )* }

        impl $crate::ConfigValue for $name {
            const EXPECTED: &'static str = concat!("one of" $(, " ", $text)*);

            fn from_text(text: &str) -> ::core::option::Option<Self> {
                match text {
                    $( $text => ::core::option::Option::Some(Self::$variant), )*
                    _ => ::core::option::Option::None,
                }
            }

            fn to_text(&self) -> ::core::option::Option<::std::string::String> {
                ::core::option::Option::Some(match self { $( Self::$variant => $text, )* }.to_owned())
            }
        }
    };
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    config_enum! {
        /// An enum.
        pub enum Flush {
            /// Later.
            Async = "ASYNC_FLUSH",
            /// Now.
            Sync = "SYNC_FLUSH",
        }
    }

    config_table! {
        /// One key of each type.
        pub struct Example {
            /// An int.
            port: i32 = 9876; "listenPort" restart() important(),
            /// A long.
            interval: i64 = 5000; "interval" live(),
            /// A double.
            ratio: f64 = 1.0; "ratio" live(),
            /// A flag.
            enable: bool = false; "enable" live() also(&["enabel"]),
            /// A text.
            path: String = "/tmp".into(); "path" fixed(),
            /// A text that may be absent.
            home: Option<String> = None; "home" restart(),
            /// An enum.
            flush: Flush = Flush::Async; "flush" live(),
        }
    }

    #[test]
    fn a_table_is_read_and_written_by_name() {
        let mut example = Example::default();
        let texts: Vec<_> = Example::KEYS.iter().map(|key| example.get(key.name)).collect();
        let expected =
            [Some("9876"), Some("5000"), Some("1.0"), Some("false"), Some("/tmp"), None, Some("ASYNC_FLUSH")];
        assert_eq!(texts, expected.map(|t| t.map(str::to_owned)));
        for (key, good, bad) in [
            ("listenPort", "-1", Some("2147483648")),
            ("interval", "9223372036854775807", Some("1.5")),
            ("ratio", "0.75", Some("x")),
            ("enable", "TRUE", Some("yes")),
            ("path", "p", None),
            ("home", "h", None),
            ("flush", "SYNC_FLUSH", Some("sync")),
        ] {
            assert!(example.set(key, good), "{key}");
            let text = example.get(key).unwrap();
            assert!(text.eq_ignore_ascii_case(good));
            if let Some(bad) = bad {
                assert!(!example.set(key, bad), "{key}");
                assert_eq!(example.get(key).unwrap(), text);
            }
        }
        assert!(!example.set("enabel", "true"), "aliases are resolved before");
    }

    #[test]
    fn flags_follow_the_row() {
        let key = |name| *Example::KEYS.iter().find(|key| key.is_named(name)).unwrap();
        assert!(key("listenPort").important);
        assert_eq!(key("listenPort").apply, Apply::Restart);
        assert_eq!(key("enabel").name, "enable");
        assert_eq!(key("path").apply, Apply::Fixed);
        assert_eq!(key("flush").expected, "one of ASYNC_FLUSH SYNC_FLUSH");
    }
}
