//! Statistics of topics and groups, as VIEW_BROKER_STATS_DATA answers them.
