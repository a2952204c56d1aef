"""Mutations that change networks."""
