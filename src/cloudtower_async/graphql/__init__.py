"""GraphQL requests: API keys and console tickets, which the REST API lacks."""
