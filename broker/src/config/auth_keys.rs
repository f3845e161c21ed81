//! Keys of Java's AuthConfig.

hypergol_config::config_table! {
    /// Java: AuthConfig.
    pub struct AuthKeys {
        /// Internal label.
        config_name: Option<String> = None; "configName" restart(),
        /// Cluster resource name (set from brokerClusterName).
        cluster_name: Option<String> = None; "clusterName" restart(),
        /// Dir of users/acls RocksDB ($root/config).
        auth_config_path: Option<String> = None; "authConfigPath" restart(),
        /// Require AccessKey/Signature.
        authentication_enabled: bool = false; "authenticationEnabled" restart(),
        /// Class, default built-in.
        authentication_provider: Option<String> = None; "authenticationProvider" restart(),
        /// Class; must be LocalAuthenticationMetadataProvider for mqadmin user commands.
        authentication_metadata_provider: Option<String> = None; "authenticationMetadataProvider" restart(),
        /// Class, default stateless.
        authentication_strategy: Option<String> = None; "authenticationStrategy" restart(),
        /// Request codes exempt, "," separated.
        authentication_whitelist: Option<String> = None; "authenticationWhitelist" restart(),
        /// JSON {username,password} of first super user.
        init_authentication_user: Option<String> = None; "initAuthenticationUser" restart(),
        /// JSON {accessKey,secretKey} for broker-to-broker calls.
        inner_client_authentication_credentials: Option<String> = None; "innerClientAuthenticationCredentials" restart(),
        /// Check ACL policies.
        authorization_enabled: bool = false; "authorizationEnabled" restart(),
        /// Class.
        authorization_provider: Option<String> = None; "authorizationProvider" restart(),
        /// Class.
        authorization_metadata_provider: Option<String> = None; "authorizationMetadataProvider" restart(),
        /// Class.
        authorization_strategy: Option<String> = None; "authorizationStrategy" restart(),
        /// Request codes exempt.
        authorization_whitelist: Option<String> = None; "authorizationWhitelist" restart(),
        /// Import plain_acl.yml.
        migrate_auth_from_v1_enabled: bool = false; "migrateAuthFromV1Enabled" restart(),
        /// Cache.
        user_cache_max_num: i32 = 1000; "userCacheMaxNum" restart(),
        /// Cache.
        user_cache_expired_second: i32 = 600; "userCacheExpiredSecond" restart(),
        /// Cache.
        user_cache_refresh_second: i32 = 60; "userCacheRefreshSecond" restart(),
        /// Cache.
        acl_cache_max_num: i32 = 1000; "aclCacheMaxNum" restart(),
        /// Cache.
        acl_cache_expired_second: i32 = 600; "aclCacheExpiredSecond" restart(),
        /// Cache.
        acl_cache_refresh_second: i32 = 60; "aclCacheRefreshSecond" restart(),
        /// Cache.
        stateful_authentication_cache_max_num: i32 = 10000; "statefulAuthenticationCacheMaxNum" restart(),
        /// Cache.
        stateful_authentication_cache_expired_second: i32 = 60; "statefulAuthenticationCacheExpiredSecond" restart(),
        /// Cache.
        stateful_authorization_cache_max_num: i32 = 10000; "statefulAuthorizationCacheMaxNum" restart(),
        /// Cache.
        stateful_authorization_cache_expired_second: i32 = 60; "statefulAuthorizationCacheExpiredSecond" restart(),
    }
}
