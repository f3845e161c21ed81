//! Verifies what the other side shows: as strictly as configured, which may mean not at all, as in Java.
//!
//! Names are not compared, as Java does not: a certificate need not bear the address of its server. Whoever shows a
//! certificate must hold its private key in any case.
//!
//! Certificates of version 1 are what RocketMQ's own instructions (docs/en/Configuration_TLS.md) make: `openssl x509 -req`
//! without extensions. webpki knows version 3 only, so a leaf of version 1 is verified here: it must be signed by a
//! trusted certificate directly.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, RootCertStore, SignatureScheme,
};
use webpki::RawPublicKeyEntity;
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate, X509Version};

use super::TlsError;
use super::identity::Trusted;

/// Verifies the certificates of clients and of servers.
#[derive(Debug)]
pub(super) struct PeerVerifier {
    /// `None`: every certificate is taken.
    trust: Option<Trust>,
    /// Clients must show a certificate.
    mandatory: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
struct Trust {
    certificates: Vec<CertificateDer<'static>>,
    roots: Arc<RootCertStore>,
    clients: Arc<dyn ClientCertVerifier>,
}

impl PeerVerifier {
    pub(super) fn new(
        trusted: Option<Trusted>,
        mandatory: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let trust = trusted.map(|trusted| Trust::new(trusted, provider)).transpose()?;
        Ok(Self { trust, mandatory, algorithms: provider.signature_verification_algorithms })
    }

    /// The signature over the handshake, in TLS 1.2.
    fn verify_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let parsed = parse(certificate)?;
        let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
        let key = RawPublicKeyEntity::try_from(&key).map_err(|_| CertificateError::BadEncoding)?;
        let (_, algorithms) = self
            .algorithms
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == signed.scheme)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        // One scheme stands for several curves.
        let valid =
            algorithms.iter().any(|algorithm| key.verify_signature(*algorithm, message, signed.signature()).is_ok());
        if valid { Ok(HandshakeSignatureValid::assertion()) } else { Err(CertificateError::BadSignature.into()) }
    }

    /// The same in TLS 1.3.
    fn verify_signature_13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let parsed = parse(certificate)?;
        let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }
}

impl Trust {
    fn new(trusted: Trusted, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let failed = |reason: String| TlsError::File { key: trusted.key, path: trusted.path.clone(), reason };
        let mut roots = RootCertStore::empty();
        for certificate in &trusted.certificates {
            roots.add(certificate.clone()).map_err(|error| failed(error.to_string()))?;
        }
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { certificates: trusted.certificates, roots, clients })
    }

    /// Whether the certificate is trusted without webpki: one of the trust file itself, or of version 1.
    ///
    /// # Errors
    /// A certificate that only looks so.
    fn verify_directly(&self, leaf: &CertificateDer<'_>, now: UnixTime) -> Result<bool, Error> {
        let parsed = parse(leaf)?;
        let listed = self.certificates.iter().any(|certificate| certificate.as_ref() == leaf.as_ref());
        if !listed && parsed.version() != X509Version::V1 {
            return Ok(false);
        }
        let now = i64::try_from(now.as_secs()).ok().and_then(|now| ASN1Time::from_timestamp(now).ok());
        match now {
            Some(now) if now < parsed.validity().not_before => return Err(CertificateError::NotValidYet.into()),
            Some(now) if now > parsed.validity().not_after => return Err(CertificateError::Expired.into()),
            Some(_) => {}
            None => return Err(Error::FailedToGetCurrentTime),
        }
        if listed || self.certificates.iter().any(|issuer| is_signed_by(&parsed, issuer)) {
            Ok(true)
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }
}

fn is_signed_by(leaf: &X509Certificate<'_>, issuer: &CertificateDer<'_>) -> bool {
    parse(issuer).is_ok_and(|issuer| {
        // Of version 3 only those may sign that say so.
        let may_sign = issuer.version() == X509Version::V1 || issuer.is_ca();
        may_sign
            && issuer.subject().as_raw() == leaf.issuer().as_raw()
            && leaf.verify_signature(Some(issuer.public_key())).is_ok()
    })
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    match X509Certificate::from_der(certificate) {
        Ok(([], parsed)) => Ok(parsed),
        _ => Err(CertificateError::BadEncoding.into()),
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.trust.as_ref().map_or(&[], |trust| trust.clients.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match &self.trust {
            Some(trust) if !trust.verify_directly(leaf, now)? => {
                trust.clients.verify_client_cert(leaf, intermediates, now)
            }
            _ => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature_13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(trust) = &self.trust
            && !trust.verify_directly(leaf, now)?
        {
            let parsed = ParsedCertificate::try_from(leaf)?;
            verify_server_cert_signed_by_trust_anchor(&parsed, &trust.roots, intermediates, now, self.algorithms.all)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature_13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
