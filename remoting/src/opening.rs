//! The first bytes of an accepted connection: a proxy may announce the client, then the client may begin TLS.
//!
//! As in Java the first byte after a PROXY header decides: 0x16 begins a TLS handshake. It can begin no frame, which
//! would be 350 MiB long.

use bytes::{Buf, BytesMut};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::connection::{Channel, End};
use crate::protocol::codec::FrameError;
use crate::proxy_protocol::{self, Prefix};
use crate::tls::ServerTls;

/// Content type of TLS records that hold a handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;
/// Room for the first bytes.
const READ_BYTES: usize = 16 * 1024;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Plain,
    Tls,
}

/// Reads until it is clear what the client speaks; what was read of that is in `input`.
///
/// # Errors
/// The end of the connection, also where the client speaks what it may not.
pub(crate) async fn read(
    stream: &mut TcpStream,
    input: &mut BytesMut,
    channel: &Channel,
    tls: &ServerTls,
) -> Result<Opening, End> {
    let mut prefix_expected = true;
    loop {
        if prefix_expected && !input.is_empty() {
            match proxy_protocol::parse(input) {
                Prefix::Incomplete => {}
                Prefix::None => prefix_expected = false,
                Prefix::Found { length, client } => {
                    input.advance(length);
                    prefix_expected = false;
                    if let Some(client) = client {
                        channel.set_peer(client);
                    }
                }
                Prefix::Invalid(what) => return Err(End::BadFrame(FrameError::IllFormed { at: 0, what })),
            }
        }
        if let (false, Some(first)) = (prefix_expected, input.first()) {
            return judge(*first, tls);
        }
        input.reserve(READ_BYTES);
        match stream.read_buf(input).await {
            Ok(0) => return Err(End::Closed),
            Ok(_) => {}
            Err(error) => return Err(End::Failed(error)),
        }
    }
}

fn judge(first: u8, tls: &ServerTls) -> Result<Opening, End> {
    match (first == TLS_HANDSHAKE, tls) {
        (true, tls) if tls.is_disabled() => Err(End::Refused("the client speaks TLS, and tls.server.mode is disabled")),
        (true, _) => Ok(Opening::Tls),
        (false, tls) if tls.is_enforced() => {
            Err(End::Refused("the client speaks plain text, and tls.server.mode is enforcing"))
        }
        (false, _) => Ok(Opening::Plain),
    }
}
