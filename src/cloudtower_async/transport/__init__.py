"""HTTP exchanges with the server: connections, credentials, TLS, failover and responses."""
