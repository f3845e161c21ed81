//! Files and keys that cannot be used are named, with what is wrong with them.

use std::fs;

use hypergol_config::TlsConfig;
use hypergol_config::tls::ClientAuth;
use hypergol_remoting::{ClientTls, ServerTls};
use tempfile::TempDir;

use crate::authority::Authority;
use crate::{client, client_files, echo, path, serve, server_files};

/// An Ed25519 key, and what `openssl pkcs8 -topk8 -v1 PBE-SHA1-RC4-128 -passout pass:pässwörd` makes of it.
const KEY: &str = "MC4CAQAwBQYDK2VwBCIEIKknF83Ne9+I0d9JeV2JDrVjqFv/qNF0NeYgthDLWQvX";
const ENCRYPTED_KEY: &str =
    "MFAwHAYKKoZIhvcNAQwBATAOBAgYZE1HUahbngICCAAEMMzpOPq9rS0TtxoUBA1i6de8BK1B72PE9uwOYyHepo9ozeQfass4KZGeG2TNTYtxMg==";

#[test]
fn what_is_wrong_is_said() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new("authority");
    authority.write(folder.path(), "ca");
    authority.issue(folder.path(), "a");
    authority.issue(folder.path(), "b");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("empty.pem", "");
    write("damaged.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    write(
        "encrypted.key",
        &format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{ENCRYPTED_KEY}\n-----END ENCRYPTED PRIVATE KEY-----\n"),
    );
    write(
        "old.key",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    );
    write("short.key", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n");
    let with = |change: &dyn Fn(&mut TlsConfig)| {
        let mut config = server_files(&folder, "a");
        change(&mut config);
        ServerTls::new(&config).map(|_| ()).unwrap_err().to_string().replace(folder.path().to_str().unwrap(), "")
    };
    let key = |name: &'static str| with(&|config| config.server_key_path = path(&folder, name));
    let certificate = |name: &'static str| with(&|config| config.server_cert_path = path(&folder, name));

    let missing = certificate("missing.pem");
    assert!(missing.starts_with("tls.server.certPath=/missing.pem: cannot be read as uid "), "{missing}");
    assert_eq!(certificate("empty.pem"), "tls.server.certPath=/empty.pem: holds no certificate in PEM");
    assert_eq!(certificate("a.key"), "tls.server.certPath=/a.key: holds no certificate in PEM");
    let damaged = certificate("damaged.pem");
    assert!(damaged.starts_with("tls.server.certPath=/damaged.pem: certificate 1 is ill-formed: "), "{damaged}");
    assert_eq!(
        key("b.key"),
        "tls.server.keyPath=/b.key is not the private key of the certificate in tls.server.certPath=/a.pem"
    );
    assert_eq!(key("a.pem"), "tls.server.keyPath=/a.pem: holds no private key in PEM");
    assert_eq!(
        key("short.key"),
        "tls.server.keyPath=/short.key: holds no key that can be used: \
         RSA of 2048 to 8192 bits, ECDSA P-256 or P-384, or Ed25519"
    );
    assert!(key("old.key").contains("openssl pkcs8 -topk8"));
    assert_eq!(
        key("encrypted.key"),
        "tls.server.keyPath=/encrypted.key: the key is encrypted, and tls.server.keyPassword is not set"
    );
    let wrong = with(&|config| {
        config.server_key_path = path(&folder, "encrypted.key");
        config.server_key_password = Some("wrong".into());
    });
    assert_eq!(
        wrong,
        "tls.server.keyPath=/encrypted.key: cannot be decrypted with tls.server.keyPassword: wrong password, or damaged"
    );
    let none = with(&|config| (config.server_cert_path, config.server_key_path) = (None, Some(String::new())));
    assert!(none.starts_with("tls.server.certPath is not set: tls.test.mode.enable=false"), "{none}");
    assert_eq!(
        with(&|config| config.server_key_path = None),
        "tls.server.keyPath is not set: it belongs to the certificate"
    );
    let trust = |file: Option<String>| {
        with(&|config| {
            config.server_auth_client = true;
            config.server_need_client_auth = ClientAuth::Optional;
            config.server_trust_cert_path = file.clone();
        })
    };
    assert!(trust(None).starts_with("tls.server.trustCertPath is not set"));
    assert!(trust(path(&folder, "empty.pem")).starts_with("tls.server.trustCertPath=/empty.pem: "));

    let mut config = client_files(&folder, "a");
    config.client_auth_server = true;
    let error = ClientTls::new(&config).map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("tls.client.trustCertPath is not set"), "{error}");
}

#[test]
fn nothing_is_read_where_nothing_is_needed() {
    let missing = TlsConfig {
        server_cert_path: Some("/nowhere".into()),
        server_trust_cert_path: Some("/nowhere".into()),
        ..TlsConfig::default()
    };
    assert!(ServerTls::new(&missing).is_ok(), "the test mode makes its own certificate");
    let disabled = TlsConfig { mode: hypergol_config::tls::TlsMode::Disabled, test_mode: false, ..missing };
    assert!(ServerTls::new(&disabled).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_key_is_used() {
    use base64::Engine as _;
    let folder = TempDir::new().unwrap();
    let der = base64::engine::general_purpose::STANDARD.decode(KEY).unwrap();
    let key = rcgen::KeyPair::try_from(der).unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(folder.path().join("s.pem"), certificate.pem()).unwrap();
    let armoured =
        format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{ENCRYPTED_KEY}\n-----END ENCRYPTED PRIVATE KEY-----\n");
    fs::write(folder.path().join("s.key"), armoured).unwrap();
    let server = serve(&TlsConfig { server_key_password: Some("pässwörd".into()), ..server_files(&folder, "s") });
    echo(&client(&TlsConfig::default()), server.local_addr(), b"x").await.unwrap();
}
