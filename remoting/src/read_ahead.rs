//! A socket below TLS: starts with bytes that were read before TLS was recognized, and reads ahead in large steps, where
//! rustls by itself would ask the system for 4 KiB at a time.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Room of a read: a TLS record, whose text has 16 KiB at most, and what is around it.
const READ_BYTES: usize = 17 * 1024;

pub(crate) struct ReadAhead {
    stream: TcpStream,
    /// What was read and not taken yet. Given back when the socket has no more: idle connections hold none.
    input: BytesMut,
}

impl ReadAhead {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self::with_input(stream, BytesMut::new())
    }

    /// A stream whose first bytes are `input`.
    pub(crate) fn with_input(stream: TcpStream, input: BytesMut) -> Self {
        Self { stream, input }
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.input.is_empty() {
            this.input.reserve(READ_BYTES);
            match tokio_util::io::poll_read_buf(Pin::new(&mut this.stream), context, &mut this.input) {
                Poll::Pending => {
                    this.input = BytesMut::new();
                    return Poll::Pending;
                }
                Poll::Ready(read) => _ = read?,
            }
        }
        let taken = this.input.len().min(out.remaining());
        out.put_slice(&this.input[..taken]);
        this.input.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
