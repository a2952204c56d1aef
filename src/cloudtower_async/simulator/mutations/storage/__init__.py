"""Mutations that change volumes, snapshots and consistency groups."""
