"""Mutations of VMs, their devices, snapshots, templates and files."""
