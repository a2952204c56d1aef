"""Store of the simulated server: documents, filters, pagination and the schema of resources."""
