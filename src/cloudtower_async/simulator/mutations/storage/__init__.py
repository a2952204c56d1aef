"""Mutations of volumes, snapshots and consistency groups."""
