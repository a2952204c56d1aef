"""Calls: operations, their arguments and their answers."""
