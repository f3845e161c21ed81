//! How much memory the requests of a table may hold while they wait.

use hypergol_remoting::RemotingCommand;

/// Bytes of headers that the requests of one table may have. A pull's has some 400; one with an SQL92 expression may have
/// 64 KiB, and fields that mean nothing whatever a frame has room for.
const HELD_BYTES_MAX: usize = 128 << 20;

/// Bytes that the requests of a table hold; kept under the table's lock.
#[derive(Default)]
pub struct HeldBytes(usize);

impl HeldBytes {
    /// Counts a request in. False, and nothing counted, when there is no room for it.
    #[must_use]
    pub fn add(&mut self, request: &RemotingCommand) -> bool {
        let bytes = self.0.saturating_add(request.header_bytes());
        let fits = bytes <= HELD_BYTES_MAX;
        if fits {
            self.0 = bytes;
        }
        fits
    }

    /// Counts out a request that was counted in.
    pub fn remove(&mut self, request: &RemotingCommand) {
        self.0 = self.0.saturating_sub(request.header_bytes());
    }
}

#[cfg(test)]
mod tests {
    use hypergol_remoting::RequestCode;

    use super::*;

    #[test]
    fn requests_fit_until_their_bytes_do_not() {
        let mut large = RemotingCommand::request(RequestCode::PullMessage);
        large.fields.push_str("subscription", &"x".repeat(HELD_BYTES_MAX / 2 - 100));
        let mut held = HeldBytes::default();
        assert!(held.add(&large));
        assert!(held.add(&large));
        assert!(!held.add(&large));
        assert!(held.add(&RemotingCommand::request(RequestCode::PullMessage)), "a small one still fits");
        held.remove(&large);
        assert!(held.add(&large));
    }
}
