"""Mutations of clusters and hosts."""
