"""How it travels: connections, credentials, TLS, statuses."""
