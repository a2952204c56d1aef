"""Mutations: the changes of each operation, and its tasks."""
