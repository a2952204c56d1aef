"""Mutations that change VMs, their devices, snapshots, templates and exported files."""
