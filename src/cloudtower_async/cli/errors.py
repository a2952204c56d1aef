"""Errors that only the command line raises."""

from __future__ import annotations


class UsageError(Exception):
    """The arguments, an option or a variable cannot be used. Prints as one line."""


class OutputError(Exception):
    """Standard output cannot be used. Nothing was done."""
