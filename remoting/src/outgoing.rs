//! Bytes that wait to be written: frame heads and small bodies in one buffer, large bodies as they are.

use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use crate::protocol::codec;
use crate::protocol::command::RemotingCommand;

/// Bodies up to this size are copied behind their head: cheaper than an entry of their own in a vectored write.
const COPIED_BYTES_MAX: usize = 4096;

/// A queue of bytes to write.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// Heads and small bodies, without those that were written.
    text: BytesMut,
    /// Large bodies, each with the length of `text` that goes before it, counted from the chunk before.
    chunks: std::collections::VecDeque<(usize, Bytes)>,
    /// Bytes of `text` behind the last chunk.
    tail: usize,
    bytes: usize,
    /// Bytes of answers among all that were pushed since the queue was last empty.
    answers: usize,
}

impl Outgoing {
    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of answers that wait, at most.
    pub(crate) fn answer_bytes(&self) -> usize {
        self.answers.min(self.bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Appends a whole frame.
    pub(crate) fn push(&mut self, command: &RemotingCommand) {
        let before = self.text.len();
        let bytes_before = self.bytes;
        codec::encode_head(command, &mut self.text);
        let head = self.text.len() - before;
        self.tail += head;
        self.bytes += head;
        self.push_chunk(&command.body);
        for chunk in &command.more_body {
            self.push_chunk(chunk);
        }
        if command.is_response() {
            self.answers += self.bytes - bytes_before;
        }
    }

    fn push_chunk(&mut self, chunk: &Bytes) {
        self.bytes += chunk.len();
        if chunk.len() <= COPIED_BYTES_MAX {
            self.text.extend_from_slice(chunk);
            self.tail += chunk.len();
        } else {
            self.chunks.push_back((self.tail, chunk.clone()));
            self.tail = 0;
        }
    }

    /// Fills `out` with what comes next; returns how many slices were set.
    pub(crate) fn slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        let mut put = |slice: &'a [u8]| {
            if !slice.is_empty() && count < out.len() {
                out[count] = IoSlice::new(slice);
                count += 1;
            }
            count < out.len()
        };
        let mut text = &self.text[..];
        for (before, chunk) in &self.chunks {
            let (head, rest) = text.split_at(*before);
            text = rest;
            if !put(head) || !put(chunk) {
                return count;
            }
        }
        put(text);
        count
    }

    /// Drops the first `written` bytes.
    pub(crate) fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while written > 0 {
            let Some((before, chunk)) = self.chunks.front_mut() else {
                self.text.advance(written);
                self.tail -= written;
                return;
            };
            let text = written.min(*before);
            self.text.advance(text);
            *before -= text;
            written -= text;
            if *before > 0 {
                return;
            }
            let body = written.min(chunk.len());
            chunk.advance(body);
            written -= body;
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
    }

    /// Makes an empty queue ready for use again; a buffer larger than `kept_bytes_max` is given back.
    pub(crate) fn recycle(&mut self, kept_bytes_max: usize) {
        debug_assert!(self.is_empty());
        self.answers = 0;
        if self.text.capacity() > kept_bytes_max {
            self.text = BytesMut::new();
        } else {
            self.text.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(outgoing: &Outgoing, slices_max: usize) -> Vec<u8> {
        let mut slices = vec![IoSlice::new(&[]); slices_max];
        let count = outgoing.slices(&mut slices);
        slices[..count].iter().flat_map(|s| s.to_vec()).collect()
    }

    proptest! {
        #[test]
        fn writes_frames_whole_and_in_order(
            bodies in prop::collection::vec(prop::collection::vec(0usize..9000, 0..4), 1..12),
            steps in prop::collection::vec(1usize..20_000, 1..60),
        ) {
            let mut outgoing = Outgoing::default();
            let mut expected = Vec::new();
            for (i, chunks) in bodies.iter().enumerate() {
                let mut command = RemotingCommand::success();
                command.opaque = i as i32;
                command.more_body = chunks.iter().map(|n| Bytes::from(vec![i as u8; *n])).collect();
                expected.extend_from_slice(&command.to_frame());
                outgoing.push(&command);
            }
            let mut written = Vec::new();
            for step in steps.into_iter().cycle() {
                if outgoing.is_empty() {
                    break;
                }
                let mut next = joined(&outgoing, 5);
                next.truncate(step);
                outgoing.advance(next.len());
                written.extend_from_slice(&next);
                prop_assert_eq!(outgoing.bytes(), expected.len() - written.len());
            }
            prop_assert_eq!(written, expected);
        }
    }
}
