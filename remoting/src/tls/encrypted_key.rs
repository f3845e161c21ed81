//! Private keys encrypted with a password (PKCS#8 EncryptedPrivateKeyInfo, RFC 5208).
//!
//! PBES2, as everything current writes it, is the work of a crate. Keys for Java are often older: RocketMQ's own
//! instructions use `PBE-SHA1-RC4-128`, its tests `PBE-MD5-DES`. Those schemes are weak, but the choice was the owner's.

use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit};
use md5::Md5;
use pkcs5::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use pkcs5::der::{Decode as _, Reader as _, SliceReader};
use pkcs5::{AlgorithmIdentifierRef, EncryptionScheme};
use rc4::{KeyInit as _, Rc4, StreamCipher as _};
use sha1::{Digest, Sha1};

/// pbeWithMD5AndDES-CBC and pbeWithSHA1AndDES-CBC (RFC 8018, appendix A.3).
const MD5_DES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.3");
const SHA1_DES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.10");
const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
/// pbeWithSHAAnd128BitRC4 and pbeWithSHAAnd3-KeyTripleDES-CBC (RFC 7292, appendix C).
const SHA1_RC4_128: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.1");
const SHA1_TRIPLE_DES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.3");

/// Rounds that a key may ask for. OpenSSL writes 2,048; at this bound a start takes a few seconds.
const ITERATIONS_MAX: u32 = 10_000_000;

const WRONG: &str = "wrong password, or damaged";
const ILL_FORMED: &str = "ill-formed";

/// The PKCS#8 private key inside.
pub(super) fn decrypt(der: &[u8], password: &str) -> Result<Vec<u8>, String> {
    let (algorithm, data) = parse(der).map_err(|_| ILL_FORMED)?;
    if algorithm.oid == PBES2 {
        let scheme =
            EncryptionScheme::try_from(algorithm).map_err(|error| format!("a scheme unknown here: {error}"))?;
        return scheme.decrypt(password, data).map_err(|_| WRONG.to_owned());
    }
    let (salt, iterations) = parameters(algorithm.parameters.ok_or(ILL_FORMED)?).map_err(|_| ILL_FORMED)?;
    if !(1..=ITERATIONS_MAX).contains(&iterations) {
        return Err(format!("{iterations} rounds, 1 to {ITERATIONS_MAX} are taken"));
    }
    let derive = |id, bytes| pkcs12_derive(password, salt, iterations, id, bytes);
    let plain = match algorithm.oid {
        MD5_DES => des(&pbkdf1::<Md5>(password, salt, iterations), data),
        SHA1_DES => des(&pbkdf1::<Sha1>(password, salt, iterations), data),
        SHA1_TRIPLE_DES => cbc::<des::TdesEde3>(&derive(PKCS12_KEY, 24), &derive(PKCS12_IV, 8), data),
        SHA1_RC4_128 => Rc4::new_from_slice(&derive(PKCS12_KEY, 16)).ok().map(|mut cipher| {
            let mut plain = data.to_vec();
            cipher.apply_keystream(&mut plain);
            plain
        }),
        other => {
            return Err(format!("the scheme {other} is unknown here; `openssl pkcs8 -topk8` writes one that is not"));
        }
    };
    // A key is a sequence; RC4 notices no wrong password by itself.
    plain.filter(|plain| plain.first() == Some(&0x30)).ok_or_else(|| WRONG.to_owned())
}

fn parse(der: &[u8]) -> pkcs5::der::Result<(AlgorithmIdentifierRef<'_>, &[u8])> {
    let mut reader = SliceReader::new(der)?;
    reader.sequence(|inner| {
        let algorithm = AlgorithmIdentifierRef::decode(inner)?;
        Ok((algorithm, <&OctetStringRef>::decode(inner)?.as_bytes()))
    })
}

/// Salt and rounds, of PKCS#5 and PKCS#12 alike.
fn parameters(parameters: AnyRef<'_>) -> pkcs5::der::Result<(&[u8], u32)> {
    parameters.sequence(|inner| Ok((<&OctetStringRef>::decode(inner)?.as_bytes(), u32::decode(inner)?)))
}

fn des(key_and_iv: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    let (key, iv) = key_and_iv.split_at_checked(8)?;
    cbc::<des::Des>(key, iv.get(..8)?, data)
}

fn cbc<C>(key: &[u8], iv: &[u8], data: &[u8]) -> Option<Vec<u8>>
where
    C: cbc::cipher::BlockCipherDecrypt + cbc::cipher::KeyInit,
{
    cbc::Decryptor::<C>::new_from_slices(key, iv).ok()?.decrypt_padded_vec::<Pkcs7>(data).ok()
}

/// PBKDF1 (RFC 8018, section 5.1), all bytes of the last hash.
fn pbkdf1<D: Digest>(password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
    let mut hash = D::new().chain_update(password).chain_update(salt).finalize();
    for _ in 1..iterations {
        hash = D::digest(&hash);
    }
    hash.to_vec()
}

/// What bytes are derived for (RFC 7292, appendix B.3).
const PKCS12_KEY: u8 = 1;
const PKCS12_IV: u8 = 2;

/// Derivation of PKCS#12 with SHA-1 (RFC 7292, appendix B.2). Its blocks have 64 bytes.
fn pkcs12_derive(password: &str, salt: &[u8], iterations: u32, id: u8, bytes: usize) -> Vec<u8> {
    const BLOCK: usize = 64;
    // UTF-16, big-endian, with a final zero.
    let password: Vec<u8> = password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect();
    let filled =
        |text: &[u8]| -> Vec<u8> { text.iter().copied().cycle().take(text.len().div_ceil(BLOCK) * BLOCK).collect() };
    let mut input = [filled(salt), filled(&password)].concat();
    let mut derived = Vec::with_capacity(bytes + 20);
    while derived.len() < bytes {
        let mut hash = Sha1::new().chain_update([id; BLOCK]).chain_update(&input).finalize();
        for _ in 1..iterations {
            hash = Sha1::digest(hash);
        }
        derived.extend_from_slice(&hash);
        // Each block of the input, as a big-endian number, grows by the hash filled up to a block, plus one.
        for block in input.chunks_exact_mut(BLOCK) {
            let mut carry = 1;
            for (at, byte) in block.iter_mut().enumerate().rev() {
                let sum = u16::from(*byte) + u16::from(hash[at % hash.len()]) + carry;
                *byte = sum as u8;
                carry = sum >> 8;
            }
        }
    }
    derived.truncate(bytes);
    derived
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    /// An Ed25519 key.
    const KEY: &str = "MC4CAQAwBQYDK2VwBCIEIKknF83Ne9+I0d9JeV2JDrVjqFv/qNF0NeYgthDLWQvX";

    /// It, as `openssl pkcs8 -topk8 -passout pass:pässwörd` of 3.0 encrypts it, by the further arguments.
    const ENCRYPTED: [(&str, &str); 8] = [
        (
            "-v2 aes256",
            "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjJ+adPF4n34gICCAAwDAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEENQxI7NCUYJXkoUOnBDgVlAEQI4cuY3tMuxhlGchEHHoU0bspc/r2TwQzBx9GaMIGnY4gtpwM1rS3X9t86JxHgLhMHY8rrse1znOArEySkyR1FM=",
        ),
        (
            "-v2 aes-128-cbc -v2prf hmacWithSHA1",
            "MIGNMEkGCSqGSIb3DQEFDTA8MBsGCSqGSIb3DQEFDDAOBAji1NzXtn74jAICCAAwHQYJYIZIAWUDBAECBBAa31pnH7vT8jlKuq6Ld45pBECJ6eez3gwckS3z//xyiewCAY+jDj+GILgl2LzRbLPU9LrkxWd32yMr4SKWQjNf0iYY0qdy9/7P8NCz1hOYsxUX",
        ),
        (
            "-v2 des3",
            "MIGKME4GCSqGSIb3DQEFDTBBMCkGCSqGSIb3DQEFDDAcBAiLXrbUGpOkJwICCAAwDAYIKoZIhvcNAgkFADAUBggqhkiG9w0DBwQIVnMklTsW6lkEOFTjleMbp1oUM4h04eZMWolYElaHpD53+qPoOFtljE1uy5rZWc07m7bw7GdJHDpsaLAYJc2JBGXk",
        ),
        (
            "-scrypt",
            "MIGTME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAi7reaikd6WuwICQAACAQgCAQEwHQYJYIZIAWUDBAEqBBAedZkAkNh191D/t4go0dCSBEBFmG8Ros+gjSUXjBRCM777cl8+UPSbzhSMdTp43dDiCOHH3oJ8s/SLV/Gub5Hri16zYUDsiMAwIprWQrpedqeE",
        ),
        (
            "-v1 PBE-SHA1-RC4-128",
            "MFAwHAYKKoZIhvcNAQwBATAOBAgYZE1HUahbngICCAAEMMzpOPq9rS0TtxoUBA1i6de8BK1B72PE9uwOYyHepo9ozeQfass4KZGeG2TNTYtxMg==",
        ),
        (
            "-v1 PBE-SHA1-3DES",
            "MFgwHAYKKoZIhvcNAQwBAzAOBAighsgpPXcAHAICCAAEOKNHdyZ3zq2SZHJIhgoxWVTDejVgjDlSqKdhrINrvyZuHupW4iWMzIFQozgxVE3a65kM6jhv5s41",
        ),
        (
            "-v1 PBE-MD5-DES",
            "MFcwGwYJKoZIhvcNAQUDMA4ECAPKwecq5gWVAgIIAAQ4VnfVJcS9vsTffbfcJEu8UeDOX1fvoxoC+r5Xy4k2XEFAMY/kJ3XJy3TVTmiZ0m08HwZZeXS02qw=",
        ),
        (
            "-v1 PBE-SHA1-DES",
            "MFcwGwYJKoZIhvcNAQUKMA4ECAbIDchNEA/RAgIIAAQ4VlfnENix6Zh6Xtrs/BTNyf9Sf9WsclXZdw6l2AtjOhHFUPstFsq3Nb1sfzK7LssmVHdm3fR9kXk=",
        ),
    ];

    #[test]
    fn reads_what_openssl_writes() {
        let key = STANDARD.decode(KEY).unwrap();
        for (how, encrypted) in ENCRYPTED {
            let encrypted = STANDARD.decode(encrypted).unwrap();
            assert_eq!(decrypt(&encrypted, "pässwörd").as_ref(), Ok(&key), "{how}");
            assert_ne!(decrypt(&encrypted, "other").ok(), Some(key.clone()), "{how}");
        }
    }

    #[test]
    fn cut_and_changed_keys_are_errors() {
        for (how, encrypted) in ENCRYPTED {
            let encrypted = STANDARD.decode(encrypted).unwrap();
            for cut in 0..encrypted.len() {
                assert!(decrypt(&encrypted[..cut], "pässwörd").is_err(), "{how} {cut}");
            }
        }
        let mut unknown = STANDARD.decode(ENCRYPTED[6].1).unwrap();
        unknown[14] = 1;
        assert!(decrypt(&unknown, "x").unwrap_err().contains("unknown here"));
    }
}
