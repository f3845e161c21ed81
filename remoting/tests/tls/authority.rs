//! Makes certificates.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Somebody who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Writes its own certificate, `NAME.pem`.
    pub fn write(&self, folder: &Path, name: &str) {
        fs::write(folder.join(format!("{name}.pem")), &self.certificate).unwrap();
    }

    /// A certificate and its private key, PEM.
    pub fn pair(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = named(name).signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes them, `NAME.pem` and `NAME.key`.
    pub fn issue(&self, folder: &Path, name: &str) {
        let (certificate, key) = self.pair(name);
        fs::write(folder.join(format!("{name}.pem")), certificate).unwrap();
        fs::write(folder.join(format!("{name}.key")), key).unwrap();
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
