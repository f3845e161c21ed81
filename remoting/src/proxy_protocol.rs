//! HAProxy's PROXY protocol, versions 1 and 2: what a proxy sends ahead to tell who the client is.
//!
//! Neither can be mistaken for a frame: both would declare a frame far beyond the limit.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const SIGNATURE_V1: &[u8] = b"PROXY ";
const SIGNATURE_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest header of version 1, its line end included (PROXY protocol, section 2.1).
const V1_BYTES_MAX: usize = 107;
/// Longest header of version 2 that is taken: addresses of 216 bytes and as much again for extensions, generously.
const V2_BYTES_MAX: usize = 4096;

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// Not a PROXY header.
    None,
    /// The beginning of one.
    Incomplete,
    /// A whole one of `length` bytes.
    Found {
        length: usize,
        /// `None` where the proxy speaks for itself.
        client: Option<SocketAddr>,
    },
    /// One that is ill-formed.
    Invalid(&'static str),
}

/// Looks at the first bytes of a connection.
pub(crate) fn parse(input: &[u8]) -> Prefix {
    if input.starts_with(SIGNATURE_V1) {
        return parse_v1(input);
    }
    if input.starts_with(SIGNATURE_V2) {
        return parse_v2(input);
    }
    let begins = |signature: &[u8]| signature.starts_with(input);
    if begins(SIGNATURE_V1) || begins(SIGNATURE_V2) { Prefix::Incomplete } else { Prefix::None }
}

fn parse_v1(input: &[u8]) -> Prefix {
    let head = &input[..input.len().min(V1_BYTES_MAX)];
    let Some(end) = head.windows(2).position(|pair| pair == b"\r\n") else {
        return if head.len() < V1_BYTES_MAX { Prefix::Incomplete } else { Prefix::Invalid("PROXY line too long") };
    };
    let Ok(line) = std::str::from_utf8(&head[..end]) else { return Prefix::Invalid("PROXY line is not text") };
    let mut words = line.split(' ').skip(1);
    let client = match words.next() {
        Some("UNKNOWN") => None,
        Some("TCP4" | "TCP6") => {
            let ip = words.next().and_then(|w| w.parse::<IpAddr>().ok());
            let port = words.nth(1).and_then(|w| w.parse::<u16>().ok());
            match (ip, port) {
                (Some(ip), Some(port)) => Some(SocketAddr::new(ip, port)),
                _ => return Prefix::Invalid("PROXY line without a source address"),
            }
        }
        _ => return Prefix::Invalid("PROXY line with an unknown protocol"),
    };
    Prefix::Found { length: end + 2, client }
}

/// Signature 12, version and command 1, family 1, length 2, then addresses: source, destination, ports.
fn parse_v2(input: &[u8]) -> Prefix {
    let Some(&[version_command, family, l0, l1]) = input.get(12..16) else { return Prefix::Incomplete };
    let length = 16 + usize::from(u16::from_be_bytes([l0, l1]));
    if version_command >> 4 != 2 {
        return Prefix::Invalid("PROXY header of an unknown version");
    }
    if length > V2_BYTES_MAX {
        return Prefix::Invalid("PROXY header too long");
    }
    let Some(addresses) = input.get(16..length) else { return Prefix::Incomplete };
    let port = |at: usize| addresses.get(at..at + 2).map(|p| u16::from_be_bytes([p[0], p[1]]));
    let client = match (version_command & 15, family >> 4) {
        (0, _) => None,
        (1, 1) => addresses
            .first_chunk::<4>()
            .zip(port(8))
            .map(|(ip, port)| SocketAddr::new(Ipv4Addr::from(*ip).into(), port)),
        (1, 2) => addresses
            .first_chunk::<16>()
            .zip(port(32))
            .map(|(ip, port)| SocketAddr::new(Ipv6Addr::from(*ip).into(), port)),
        (1, _) => None,
        _ => return Prefix::Invalid("PROXY header with an unknown command"),
    };
    Prefix::Found { length, client }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_version_1() {
        let line = b"PROXY TCP4 10.1.2.3 10.0.0.1 4711 10911\r\n\0\0";
        let client = Some("10.1.2.3:4711".parse().unwrap());
        assert_eq!(parse(line), Prefix::Found { length: line.len() - 2, client });
        for cut in 1..line.len() - 3 {
            assert_eq!(parse(&line[..cut]), Prefix::Incomplete, "{cut}");
        }
        assert_eq!(parse(b"PROXY UNKNOWN\r\n"), Prefix::Found { length: 15, client: None });
        assert!(matches!(parse(b"PROXY TCP4 x y\r\n"), Prefix::Invalid(_)));
        assert!(matches!(parse(&[b"PROXY ".as_slice(), &[b'x'; 120]].concat()), Prefix::Invalid(_)));
    }

    #[test]
    fn reads_version_2() {
        let mut header = SIGNATURE_V2.to_vec();
        header.extend([0x21, 0x11, 0, 12, 10, 1, 2, 3, 10, 0, 0, 1, 0x12, 0x67, 0x2a, 0x9f]);
        let client = Some("10.1.2.3:4711".parse().unwrap());
        assert_eq!(parse(&header), Prefix::Found { length: 28, client });
        for cut in 1..28 {
            assert_eq!(parse(&header[..cut]), Prefix::Incomplete, "{cut}");
        }
        header[12] = 0x31;
        assert!(matches!(parse(&header), Prefix::Invalid(_)));
    }

    #[test]
    fn a_frame_is_no_prefix() {
        assert_eq!(parse(&[0, 0, 0, 42, 0, 0, 0, 38]), Prefix::None);
    }
}
