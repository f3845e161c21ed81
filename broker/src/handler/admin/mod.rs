//! Requests of administrators: mqadmin, dashboard, exporter.
