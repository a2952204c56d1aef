"""GraphQL requests, and the features that only GraphQL offers: API keys and console tickets."""
