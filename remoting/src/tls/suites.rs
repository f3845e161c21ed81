//! Protocol versions and cipher suites, by the names that Java and OpenSSL give them.

use std::sync::Arc;

use hypergol_config::TlsConfig;
use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};
use tracing::warn;

use super::TlsError;

/// The library's functions, with the suites of `tls.ciphers`.
pub(super) fn provider(config: &TlsConfig) -> Result<Arc<CryptoProvider>, TlsError> {
    let mut provider = ring::default_provider();
    if let Some(names) = listed(config.ciphers.as_deref()) {
        let wanted: Vec<_> = names.iter().map(|name| (*name, comparable(name))).collect();
        let offered: Vec<_> =
            provider.cipher_suites.iter().map(|suite| comparable(&format!("{:?}", suite.suite()))).collect();
        for (name, _) in wanted.iter().filter(|(_, name)| !offered.contains(name)) {
            warn!(cipher = name, "a cipher suite of tls.ciphers is not there and is left out");
        }
        let mut index = 0;
        provider.cipher_suites.retain(|_| {
            index += 1;
            wanted.iter().any(|(_, name)| *name == offered[index - 1])
        });
        if provider.cipher_suites.is_empty() {
            return Err(unknown("tls.ciphers", config.ciphers.as_deref(), "none of these cipher suites is there"));
        }
    }
    Ok(Arc::new(provider))
}

/// The versions of `tls.protocols`.
pub(super) fn versions(config: &TlsConfig) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let Some(names) = listed(config.protocols.as_deref()) else { return Ok(vec![&TLS13, &TLS12]) };
    let mut versions = Vec::new();
    for name in names {
        match name {
            "TLSv1.3" => versions.push(&TLS13),
            "TLSv1.2" => versions.push(&TLS12),
            other => warn!(protocol = other, "a protocol of tls.protocols is not there and is left out"),
        }
    }
    if versions.is_empty() {
        return Err(unknown("tls.protocols", config.protocols.as_deref(), "only TLSv1.2 and TLSv1.3 are there"));
    }
    Ok(versions)
}

fn unknown(key: &'static str, value: Option<&str>, reason: &str) -> TlsError {
    TlsError::Value { key, value: value.unwrap_or_default().to_owned(), reason: reason.to_owned() }
}

fn listed(text: Option<&str>) -> Option<Vec<&str>> {
    let names: Vec<_> = text?.split([',', ':']).map(str::trim).filter(|name| !name.is_empty()).collect();
    (!names.is_empty()).then_some(names)
}

/// `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` (Java), `TLS13_AES_128_GCM_SHA256` (rustls) and
/// `ECDHE-RSA-AES128-GCM-SHA256` (OpenSSL) without what only spells them differently.
fn comparable(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("TLS13_").or_else(|| name.strip_prefix("TLS_")).unwrap_or(&name);
    let name = name.replace("_WITH_", "").replace(['_', '-'], "");
    // OpenSSL leaves out the only hash there is.
    match name.strip_suffix("SHA256") {
        Some(short) if short.ends_with("POLY1305") => short.to_owned(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(ciphers: Option<&str>, protocols: Option<&str>) -> TlsConfig {
        TlsConfig { ciphers: ciphers.map(Into::into), protocols: protocols.map(Into::into), ..TlsConfig::default() }
    }

    #[test]
    fn suites_are_found_by_the_names_of_java_and_openssl() {
        let names = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,ECDHE-ECDSA-AES256-GCM-SHA384, TLS_AES_128_GCM_SHA256,\
                     ECDHE-RSA-CHACHA20-POLY1305,TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256";
        assert_eq!(provider(&config(Some(names), None)).unwrap().cipher_suites.len(), 4);
        assert!(provider(&config(None, None)).unwrap().cipher_suites.len() > 4);
        let error = provider(&config(Some("RC4-MD5"), None)).unwrap_err().to_string();
        assert_eq!(error, "tls.ciphers=RC4-MD5: none of these cipher suites is there");
    }

    #[test]
    fn versions_are_named_as_java_does() {
        assert_eq!(versions(&config(None, Some("TLSv1.2,TLSv1.1"))).unwrap(), [&TLS12]);
        assert_eq!(versions(&config(None, Some(" "))).unwrap().len(), 2);
        let error = versions(&config(None, Some("SSLv3"))).unwrap_err().to_string();
        assert_eq!(error, "tls.protocols=SSLv3: only TLSv1.2 and TLSv1.3 are there");
    }
}
