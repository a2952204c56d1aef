"""Mutations of the simulated server: what each operation changes, and its tasks."""
