//! A side's own certificate and private key, and the certificates it trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hypergol_config::TlsConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use tracing::warn;
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo, X509Certificate};

use super::{TlsError, encrypted_key, files};

/// Certificates that a file may hold.
const CERTIFICATES_MAX: usize = 1024;
/// Names in a certificate that is made for tests; nobody verifies them.
const SELF_SIGNED_NAMES: [&str; 2] = ["hypergol", "localhost"];

type Value = fn(&TlsConfig) -> Option<&str>;

/// The keys of one side.
pub(super) struct SideFiles {
    pub(super) certificate: &'static str,
    certificate_path: Value,
    private_key: &'static str,
    private_key_path: Value,
    password: &'static str,
    password_text: Value,
    trust: &'static str,
    trust_path: Value,
}

pub(super) const SERVER_FILES: SideFiles = SideFiles {
    certificate: "tls.server.certPath",
    certificate_path: |config| given(&config.server_cert_path),
    private_key: "tls.server.keyPath",
    private_key_path: |config| given(&config.server_key_path),
    password: "tls.server.keyPassword",
    password_text: |config| given(&config.server_key_password),
    trust: "tls.server.trustCertPath",
    trust_path: |config| given(&config.server_trust_cert_path),
};

pub(super) const CLIENT_FILES: SideFiles = SideFiles {
    certificate: "tls.client.certPath",
    certificate_path: |config| given(&config.client_cert_path),
    private_key: "tls.client.keyPath",
    private_key_path: |config| given(&config.client_key_path),
    password: "tls.client.keyPassword",
    password_text: |config| given(&config.client_key_password),
    trust: "tls.client.trustCertPath",
    trust_path: |config| given(&config.client_trust_cert_path),
};

fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|value| !value.is_empty())
}

impl SideFiles {
    /// The files that are configured.
    pub(super) fn paths(&self, config: &TlsConfig) -> Vec<PathBuf> {
        let paths = [self.certificate_path, self.private_key_path, self.trust_path];
        paths.into_iter().filter_map(|path| path(config)).map(PathBuf::from).collect()
    }

    /// Certificate and private key; `None` where neither is configured.
    pub(super) fn identity(
        &self,
        config: &TlsConfig,
        provider: &CryptoProvider,
    ) -> Result<Option<CertifiedKey>, TlsError> {
        let (certificate, key) = match ((self.certificate_path)(config), (self.private_key_path)(config)) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (Path::new(certificate), Path::new(key)),
            (None, Some(_)) => return Err(self.half(self.certificate, "it belongs to the private key")),
            (Some(_), None) => return Err(self.half(self.private_key, "it belongs to the certificate")),
        };
        let chain = certificates(self.certificate, certificate)?;
        let signing = self.signing_key(config, key, provider)?;
        if !belong_together(&chain[0], &*signing) {
            return Err(TlsError::Mismatch {
                key: (self.private_key, key.to_owned()),
                certificate: (self.certificate, certificate.to_owned()),
            });
        }
        warn_of_validity(certificate, &chain[0]);
        Ok(Some(CertifiedKey::new(chain, signing)))
    }

    fn half(&self, key: &'static str, reason: &'static str) -> TlsError {
        TlsError::Missing { key, reason }
    }

    fn signing_key(
        &self,
        config: &TlsConfig,
        path: &Path,
        provider: &CryptoProvider,
    ) -> Result<Arc<dyn SigningKey>, TlsError> {
        let failed = |reason: String| TlsError::File { key: self.private_key, path: path.to_owned(), reason };
        let pem = files::read(path).map_err(failed)?;
        let der = self.private_key(&pem, (self.password_text)(config)).map_err(failed)?;
        provider.key_provider.load_private_key(der).map_err(|_| {
            failed("holds no key that can be used: RSA of 2048 to 8192 bits, ECDSA P-256 or P-384, or Ed25519".into())
        })
    }

    fn private_key(&self, pem: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, String> {
        if let Some(encrypted) = files::section(pem, "ENCRYPTED PRIVATE KEY") {
            let password = password.ok_or_else(|| format!("the key is encrypted, and {} is not set", self.password))?;
            let der = encrypted_key::decrypt(&encrypted, password)
                .map_err(|error| format!("cannot be decrypted with {}: {error}", self.password))?;
            return Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der)));
        }
        if pem.windows(10).any(|window| window == b"Proc-Type:") {
            return Err("encrypted as OpenSSL did of old; `openssl pkcs8 -topk8` gives a form that is read".into());
        }
        PrivateKeyDer::from_pem_slice(pem).map_err(|_| "holds no private key in PEM".into())
    }

    /// The certificates that those of peers must lead to.
    pub(super) fn trust(&self, config: &TlsConfig) -> Result<Trusted, TlsError> {
        let reason = "certificates of the other side are to be verified";
        let path = (self.trust_path)(config).ok_or(TlsError::Missing { key: self.trust, reason })?;
        let certificates = certificates(self.trust, Path::new(path))?;
        Ok(Trusted { key: self.trust, path: path.into(), certificates })
    }
}

/// Certificates of a trust file.
pub(super) struct Trusted {
    pub(super) key: &'static str,
    pub(super) path: PathBuf,
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

/// All certificates of a file: at least one, each well-formed.
fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |reason: String| TlsError::File { key, path: path.to_owned(), reason };
    let pem = files::read(path).map_err(failed)?;
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let number = certificates.len() + 1;
        let ill_formed = |error: String| failed(format!("certificate {number} is ill-formed: {error}"));
        let certificate = certificate.map_err(|error| ill_formed(error.to_string()))?;
        X509Certificate::from_der(&certificate).map_err(|error| ill_formed(error.to_string()))?;
        if number > CERTIFICATES_MAX {
            return Err(failed(format!("holds more than {CERTIFICATES_MAX} certificates")));
        }
        certificates.push(certificate);
    }
    if certificates.is_empty() {
        return Err(failed("holds no certificate in PEM".into()));
    }
    Ok(certificates)
}

/// Whether the private key is that of the certificate. Compares the keys alone: their algorithm may be written in more
/// than one way.
fn belong_together(certificate: &CertificateDer<'_>, key: &dyn SigningKey) -> bool {
    let Some(own) = key.public_key() else { return true };
    let Ok((_, own)) = SubjectPublicKeyInfo::from_der(&own) else { return true };
    X509Certificate::from_der(certificate)
        .is_ok_and(|(_, certificate)| certificate.public_key().subject_public_key.data == own.subject_public_key.data)
}

fn warn_of_validity(path: &Path, certificate: &CertificateDer<'_>) {
    if let Ok((_, certificate)) = X509Certificate::from_der(certificate)
        && !certificate.validity().is_valid()
    {
        let validity = certificate.validity();
        warn!(path = %path.display(), from = %validity.not_before, to = %validity.not_after, "the certificate is not valid now");
    }
}

/// A certificate that nobody has signed but itself.
pub(super) fn self_signed(provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let made = rcgen::generate_simple_self_signed(SELF_SIGNED_NAMES.map(String::from))?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let key = provider.key_provider.load_private_key(key.into())?;
    Ok(CertifiedKey::new(vec![made.cert.der().clone()], key))
}
