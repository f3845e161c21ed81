//! Keys of the remoting layer that both servers have. Java: NettyServerConfig, NettyClientConfig, NettySystemConfig.
//!
//! Keys that size Java's thread pools and Netty's buffers are read, shown and stored, and have no effect here.

crate::config_table! {
    /// The listening side.
    pub struct NettyServerConfig {
        /// Address to bind: host name, IPv4 or IPv6.
        bind_address: String = "0.0.0.0".into(); "bindAddress" restart(),
        /// Port to listen on; 0 lets the system choose. The servers set their own default.
        listen_port: i32 = 0; "listenPort" restart(),
        /// No effect: the number of threads follows the processors.
        server_worker_threads: i32 = 8; "serverWorkerThreads" restart(),
        /// No effect.
        server_callback_executor_threads: i32 = 0; "serverCallbackExecutorThreads" restart(),
        /// No effect.
        server_selector_threads: i32 = 3; "serverSelectorThreads" restart(),
        /// No effect: the bound on calls to clients is per connection.
        server_oneway_semaphore_value: i32 = 256; "serverOnewaySemaphoreValue" restart(),
        /// No effect: the bound on calls to clients is per connection.
        server_async_semaphore_value: i32 = 64; "serverAsyncSemaphoreValue" restart(),
        /// Seconds without a read or a write after which a connection is closed.
        server_channel_max_idle_time_seconds: i32 = 120; "serverChannelMaxIdleTimeSeconds" restart(),
        /// Bytes of a socket's send buffer; 0 for the system's default.
        server_socket_snd_buf_size: i32 = 0; "serverSocketSndBufSize" restart(),
        /// Bytes of a socket's receive buffer; 0 for the system's default.
        server_socket_rcv_buf_size: i32 = 0; "serverSocketRcvBufSize" restart(),
        /// No effect: queued answers have a bound of their own.
        write_buffer_high_water_mark: i32 = 0; "writeBufferHighWaterMark" restart(),
        /// No effect: queued answers have a bound of their own.
        write_buffer_low_water_mark: i32 = 0; "writeBufferLowWaterMark" restart(),
        /// Connections that may wait to be accepted.
        server_socket_backlog: i32 = 1024; "serverSocketBacklog" restart(),
        /// No effect.
        server_netty_worker_group_enable: bool = true; "serverNettyWorkerGroupEnable" restart(),
        /// No effect.
        server_pooled_byte_buf_allocator_enable: bool = true; "serverPooledByteBufAllocatorEnable" restart(),
        /// Whether clients are told to go away before the server stops.
        enable_shutdown_gracefully: bool = false; "enableShutdownGracefully" restart(),
        /// Seconds that clients get for that.
        shutdown_wait_time_seconds: i32 = 30; "shutdownWaitTimeSeconds" restart(),
        /// No effect: epoll is always used on Linux.
        use_epoll_native_selector: bool = false; "useEpollNativeSelector" restart(),
    }
}

crate::config_table! {
    /// The connecting side.
    pub struct NettyClientConfig {
        /// No effect: the number of threads follows the processors.
        client_worker_threads: i32 = 4; "clientWorkerThreads" restart(),
        /// No effect.
        client_callback_executor_threads: i32 = processors(); "clientCallbackExecutorThreads" restart(),
        /// No effect: the bound on calls is per connection.
        client_oneway_semaphore_value: i32 = 65535; "clientOnewaySemaphoreValue" restart(),
        /// No effect: the bound on calls is per connection.
        client_async_semaphore_value: i32 = 65535; "clientAsyncSemaphoreValue" restart(),
        /// Milliseconds that making a connection may take.
        connect_timeout_millis: i32 = 3000; "connectTimeoutMillis" restart(),
        /// No effect. Milliseconds in Java.
        channel_not_active_interval: i64 = 60_000; "channelNotActiveInterval" restart(),
        /// No effect.
        is_scan_available_name_srv: bool = true; "isScanAvailableNameSrv" restart() also(&["scanAvailableNameSrv"]),
        /// Seconds without a read or a write after which a connection is closed.
        client_channel_max_idle_time_seconds: i32 = 120; "clientChannelMaxIdleTimeSeconds" restart(),
        /// Bytes of a socket's send buffer; 0 for the system's default.
        client_socket_snd_buf_size: i32 = 0; "clientSocketSndBufSize" restart(),
        /// Bytes of a socket's receive buffer; 0 for the system's default.
        client_socket_rcv_buf_size: i32 = 0; "clientSocketRcvBufSize" restart(),
        /// No effect.
        client_pooled_byte_buf_allocator_enable: bool = false; "clientPooledByteBufAllocatorEnable" restart(),
        /// Whether a connection is closed when a call on it times out.
        client_close_socket_if_timeout: bool = true; "clientCloseSocketIfTimeout" restart(),
        /// Whether connections are made with TLS.
        use_tls: bool = false; "useTLS" restart(),
        /// No effect.
        socks_proxy_config: String = "{}".into(); "socksProxyConfig" restart(),
        /// No effect: queued requests have a bound of their own.
        write_buffer_high_water_mark: i32 = 0; "writeBufferHighWaterMark" restart(),
        /// No effect: queued requests have a bound of their own.
        write_buffer_low_water_mark: i32 = 0; "writeBufferLowWaterMark" restart(),
        /// No effect.
        disable_callback_executor: bool = false; "disableCallbackExecutor" restart(),
        /// No effect.
        disable_netty_worker_group: bool = false; "disableNettyWorkerGroup" restart(),
        /// Seconds between attempts to connect again, at most.
        max_reconnect_interval_time_seconds: i64 = 60; "maxReconnectIntervalTimeSeconds" restart(),
        /// Whether another connection is made when a server says that it goes away.
        enable_reconnect_for_go_away: bool = true; "enableReconnectForGoAway" restart(),
    }
}

fn processors() -> i32 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as i32)
}
