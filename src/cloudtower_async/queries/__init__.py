"""Queries that may take several requests: pages, batches of ids, loaders and plan mode."""
