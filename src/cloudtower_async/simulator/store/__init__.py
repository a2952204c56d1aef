"""The store: documents, filters, pagination and the schema of resources."""
