"""Mutations: what each operation changes, and the tasks that it starts."""
