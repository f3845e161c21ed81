//! Fields that most request headers of Java inherit.

use crate::header;

header! {
    /// Optional fields of any request, beside those of its own header.
    pub struct RpcFields {
        /// False for a request whose static topic is resolved already and must not be mapped again.
        pub lo: Option<bool> => "lo",
        /// Namespace, for proxies.
        pub ns: Option<String> => "ns",
        /// Whether the resources' names carry the namespace.
        pub nsd: Option<bool> => "nsd",
        /// Broker that the client means, for proxies and static topics.
        pub bname: Option<String> => "bname",
        /// Whether the request is oneway.
        pub oway: Option<bool> => "oway",
    }
}
