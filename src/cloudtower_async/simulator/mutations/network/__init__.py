"""Mutations of networks."""
