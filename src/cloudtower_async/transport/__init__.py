"""HTTP exchanges: connections, credentials, TLS, failover and responses."""
