//! TLS keys, those of Java's `TlsSystemConfig`, and where their values come from.
//!
//! Java takes them from `-D` options of its virtual machine and from the file that `tls.config.file` names. Here the same
//! options count when they stand in the variables that RocketMQ's scripts and images hand to Java, and every key may
//! stand in the server's own configuration file as well. What comes later in this list wins:
//!
//! 1. `-Dtls.…` in `JAVA_TOOL_OPTIONS`, `JAVA_OPT`, `JAVA_OPT_EXT`;
//! 2. the file of `tls.config.file`, which as in Java sets neither `tls.server.mode` nor `tls.enable`;
//! 3. the server's configuration file.

use std::path::Path;

use crate::error::ConfigError;
use crate::properties::Properties;
use crate::settings::{self, UnknownKey};
use crate::table::{ConfigValue, Table};

/// The file that is read without being named, where it exists.
pub const DEFAULT_FILE: &str = "/etc/rocketmq/tls.properties";

/// Variables with options for Java's virtual machine.
const OPTION_VARIABLES: [&str; 3] = ["JAVA_TOOL_OPTIONS", "JAVA_OPT", "JAVA_OPT_EXT"];
/// Keys that the file of `tls.config.file` does not set.
const NOT_IN_FILE: [&str; 3] = ["tls.server.mode", "tls.enable", "tls.config.file"];

crate::config_enum! {
    /// Whether a server's port speaks TLS.
    pub enum TlsMode {
        /// It does not.
        Disabled = "disabled",
        /// It speaks TLS with clients that begin so, plain text with others.
        Permissive = "permissive",
        /// It speaks nothing else.
        Enforcing = "enforcing",
    }
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not.
    None,
    /// They are, and need not have one.
    Optional,
    /// They must have one.
    Require,
}

impl ConfigValue for ClientAuth {
    const EXPECTED: &'static str = "one of none optional require";

    /// In any case, as in Java.
    fn from_text(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "none" => Some(Self::None),
            "optional" => Some(Self::Optional),
            "require" => Some(Self::Require),
            _ => None,
        }
    }

    fn to_text(&self) -> Option<String> {
        let text = match self {
            Self::None => "none",
            Self::Optional => "optional",
            Self::Require => "require",
        };
        Some(text.to_owned())
    }
}

crate::config_table! {
    /// TLS of the listening and of the connecting side.
    pub struct TlsConfig {
        /// Whether ports speak TLS.
        mode: TlsMode = TlsMode::Permissive; "tls.server.mode" fixed(),
        /// Whether connections are made with TLS; follows from the mode unless it is set. `useTLS` counts more.
        enable: Option<bool> = None; "tls.enable" fixed(),
        /// The file with these keys.
        config_file: String = DEFAULT_FILE.into(); "tls.config.file" fixed(),
        /// A self-signed certificate is made at the start, and no certificate is verified: for tests. The paths below
        /// count only without it.
        test_mode: bool = true; "tls.test.mode.enable" fixed(),
        /// Whether clients are asked for a certificate.
        server_need_client_auth: ClientAuth = ClientAuth::None; "tls.server.need.client.auth" fixed(),
        /// The server's private key, PEM.
        server_key_path: Option<String> = None; "tls.server.keyPath" fixed(),
        /// Its password where it is encrypted.
        server_key_password: Option<String> = None; "tls.server.keyPassword" fixed() secret(),
        /// The server's certificate and those that lead from it to the issuer, PEM.
        server_cert_path: Option<String> = None; "tls.server.certPath" fixed(),
        /// Whether the certificates of clients are verified.
        server_auth_client: bool = false; "tls.server.authClient" fixed(),
        /// The certificates that those of clients must lead to, PEM.
        server_trust_cert_path: Option<String> = None; "tls.server.trustCertPath" fixed(),
        /// The private key shown to servers that ask, PEM.
        client_key_path: Option<String> = None; "tls.client.keyPath" fixed(),
        /// Its password where it is encrypted.
        client_key_password: Option<String> = None; "tls.client.keyPassword" fixed() secret(),
        /// The certificate shown to servers that ask, PEM.
        client_cert_path: Option<String> = None; "tls.client.certPath" fixed(),
        /// Whether the certificates of servers are verified.
        client_auth_server: bool = false; "tls.client.authServer" fixed(),
        /// The certificates that those of servers must lead to, PEM.
        client_trust_cert_path: Option<String> = None; "tls.client.trustCertPath" fixed(),
        /// Cipher suites that are offered and taken, separated by commas; all that are safe unless given.
        ciphers: Option<String> = None; "tls.ciphers" fixed(),
        /// Protocol versions, separated by commas: `TLSv1.2`, `TLSv1.3`; both unless given.
        protocols: Option<String> = None; "tls.protocols" fixed(),
    }
}

impl TlsConfig {
    /// Gathers what the environment, the file of `tls.config.file` and `start_file` say. Returns the keys that have no
    /// effect where they stand.
    ///
    /// # Errors
    /// A value that its key cannot have, or a named file that cannot be read. Java goes on with a certificate of its own
    /// making then.
    pub fn load(start_file: &Properties) -> Result<(Self, Vec<UnknownKey>), ConfigError> {
        Self::from_sources(&options(|name| std::env::var(name).ok()), start_file)
    }

    fn from_sources(options: &Properties, start_file: &Properties) -> Result<(Self, Vec<UnknownKey>), ConfigError> {
        let mut config = Self::default();
        let mut unknown = config.apply(options, &[])?;
        // Only for the name of the other file; what else it says is to win over that file.
        let mut named = config.clone();
        named.apply(start_file, &[])?;
        let path = Path::new(&named.config_file);
        if path.is_file() || named.config_file != DEFAULT_FILE {
            unknown.extend(config.apply(&Properties::read(path)?, &NOT_IN_FILE)?);
        }
        config.apply(start_file, &[])?;
        Ok((config, unknown))
    }

    /// Sets what `properties` has of this table; returns its `tls.` keys that set nothing.
    fn apply(&mut self, properties: &Properties, ignored: &[&str]) -> Result<Vec<UnknownKey>, ConfigError> {
        let mut unknown = Vec::new();
        for (name, entry) in properties.iter().filter(|(name, _)| name.starts_with("tls.")) {
            match Self::KEYS.iter().find(|key| key.is_named(name) && !ignored.contains(&name)) {
                Some(key) => settings::set(self as &mut dyn Table, key, &entry.value, properties, entry.line)?,
                None => unknown.push(UnknownKey {
                    name: name.to_owned(),
                    file: properties.source.clone(),
                    line: entry.line,
                }),
            }
        }
        Ok(unknown)
    }

    /// What `useTLS` is where the configuration does not say. Java: NettyClientConfig.
    pub fn used_by_clients(&self) -> bool {
        self.enable.unwrap_or(self.mode == TlsMode::Enforcing)
    }
}

/// The `-Dtls.…` options of the variables.
fn options(variable: impl Fn(&str) -> Option<String>) -> Properties {
    let mut options = Properties::default();
    options.source = OPTION_VARIABLES.join(", ");
    for text in OPTION_VARIABLES.into_iter().filter_map(variable) {
        // Quotes around a word are the shell's, had it been given there.
        for word in text.split_whitespace().map(|word| word.trim_matches(['"', '\''])) {
            let option = word.strip_prefix("-D").and_then(|option| option.split_once('='));
            if let Some((key, value)) = option.filter(|(key, _)| key.starts_with("tls.")) {
                options.insert(key, value);
            }
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Properties {
        Properties::parse("broker.conf", text.as_bytes()).unwrap()
    }

    fn variables<'a>(pairs: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn options_of_java_count() {
        let options = options(variables(&[
            ("JAVA_OPT", "-server -Xmx1g \"-Dtls.server.mode=enforcing\" -Dfoo=1 -Dtls.enable=true"),
            ("JAVA_OPT_EXT", "-Dtls.enable=false -Dtls.typo=1"),
        ]));
        let (config, unknown) = TlsConfig::from_sources(&options, &Properties::default()).unwrap();
        assert_eq!((config.mode, config.enable), (TlsMode::Enforcing, Some(false)));
        assert!(!config.used_by_clients());
        let names: Vec<_> = unknown.iter().map(|key| key.name.as_str()).collect();
        assert_eq!(names, ["tls.typo"]);
    }

    #[test]
    fn each_source_wins_over_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tls.properties");
        std::fs::write(
            &path,
            "tls.test.mode.enable=false   \ntls.server.keyPath=/file\ntls.server.need.client.auth=REQUIRE\n\
             tls.server.mode=disabled\ntls.server.keyPassword=s3cret\n",
        )
        .unwrap();
        let options = options(variables(&[("JAVA_OPT", "-Dtls.server.keyPath=/option -Dtls.server.certPath=/option")]));
        let start = parsed(&format!("tls.config.file={}\ntls.server.keyPassword=mine\nbrokerName=x", path.display()));
        let (config, unknown) = TlsConfig::from_sources(&options, &start).unwrap();
        assert_eq!(config.server_key_path.as_deref(), Some("/file"));
        assert_eq!(config.server_cert_path.as_deref(), Some("/option"));
        assert_eq!(config.server_key_password.as_deref(), Some("mine"));
        assert_eq!((config.test_mode, config.server_need_client_auth), (false, ClientAuth::Require));
        assert_eq!(config.mode, TlsMode::Permissive, "as in Java the mode is not taken from that file");
        assert_eq!((unknown[0].name.as_str(), unknown[0].line), ("tls.server.mode", 4));
    }

    #[test]
    fn errors_name_the_place() {
        for (text, message) in [
            ("tls.server.mode=on", "broker.conf:1: tls.server.mode must be one of disabled permissive enforcing"),
            ("\ntls.test.mode.enable=no", "broker.conf:2: tls.test.mode.enable must be true or false"),
            ("tls.config.file=/nowhere/tls.properties", "cannot read /nowhere/tls.properties"),
        ] {
            let error = TlsConfig::from_sources(&Properties::default(), &parsed(text)).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn enforcing_servers_ask_others_with_tls() {
        let mode = |text| TlsConfig::from_sources(&Properties::default(), &parsed(text)).unwrap().0.used_by_clients();
        assert!(!mode(""));
        assert!(mode("tls.server.mode=enforcing"));
        assert!(!mode("tls.server.mode=enforcing\ntls.enable=false"));
        assert!(mode("tls.enable=true"));
    }
}
