//! Users and access control lists.

use crate::body;

body! {
    /// A user.
    #[derive(Eq)]
    pub struct UserInfo {
        /// Password; never sent in answers.
        "password" password: Option<String>,
        /// `enable` or `disable`.
        "userStatus" user_status: Option<String>,
        /// `Super` or `Normal`.
        "userType" user_type: Option<String>,
        /// Name.
        "username" username: Option<String>,
    }

    /// What a subject may do.
    #[derive(Eq)]
    pub struct AclInfo {
        /// Policies.
        "policies" policies: Option<Vec<PolicyInfo>>,
        /// `User:name`.
        "subject" subject: Option<String>,
    }

    /// A policy.
    #[derive(Eq)]
    pub struct PolicyInfo {
        /// Entries.
        "entries" entries: Option<Vec<PolicyEntryInfo>>,
        /// `Custom` or `Default`.
        "policyType" policy_type: Option<String>,
    }

    /// An entry of a policy.
    #[derive(Eq)]
    pub struct PolicyEntryInfo {
        /// `All`, `Pub`, `Sub`, `Create`, `Update`, `Delete`, `Get`, `List`.
        "actions" actions: Option<Vec<String>>,
        /// `Allow` or `Deny`.
        "decision" decision: Option<String>,
        /// `Topic:x`, `Group:x` or `Cluster:x`.
        "resource" resource: Option<String>,
        /// Addresses the entry is for.
        "sourceIps" source_ips: Option<Vec<String>>,
    }
}
