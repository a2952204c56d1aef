"""Calls of operations: checks of arguments, execution, and decoding of answers."""
