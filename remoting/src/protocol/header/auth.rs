//! Users and access control.

use crate::header;

header! {
    /// Request of `AUTH_CREATE_USER`.
    pub struct CreateUserRequestHeader {
        /// User name.
        pub username: Option<String> => "username",
    }

    /// Request of `AUTH_UPDATE_USER`.
    pub struct UpdateUserRequestHeader {
        /// User name.
        pub username: Option<String> => "username",
    }

    /// Request of `AUTH_DELETE_USER`.
    pub struct DeleteUserRequestHeader {
        /// User name.
        pub username: Option<String> => "username",
    }

    /// Request of `AUTH_GET_USER`.
    pub struct GetUserRequestHeader {
        /// User name.
        pub username: Option<String> => "username",
    }

    /// Request of `AUTH_LIST_USER`.
    pub struct ListUsersRequestHeader {
        /// Part of the user names wanted.
        pub filter: Option<String> => "filter",
    }

    /// Request of `AUTH_CREATE_ACL`.
    pub struct CreateAclRequestHeader {
        /// Subject, `User:name`.
        pub subject: Option<String> => "subject",
    }

    /// Request of `AUTH_UPDATE_ACL`.
    pub struct UpdateAclRequestHeader {
        /// Subject, `User:name`.
        pub subject: Option<String> => "subject",
    }

    /// Request of `AUTH_DELETE_ACL`.
    pub struct DeleteAclRequestHeader {
        /// Subject, `User:name`.
        pub subject: Option<String> => "subject",
        /// `Custom` or `Default`.
        pub policy_type: Option<String> => "policyType",
        /// Resource of the policy.
        pub resource: Option<String> => "resource",
    }

    /// Request of `AUTH_GET_ACL`.
    pub struct GetAclRequestHeader {
        /// Subject, `User:name`.
        pub subject: Option<String> => "subject",
    }

    /// Request of `AUTH_LIST_ACL`.
    pub struct ListAclsRequestHeader {
        /// Part of the subjects wanted.
        pub subject_filter: Option<String> => "subjectFilter",
        /// Part of the resources wanted.
        pub resource_filter: Option<String> => "resourceFilter",
    }
}
