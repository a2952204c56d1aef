"""Errors that only the command line raises."""

from __future__ import annotations


class UsageError(Exception):
    """An argument, an option or an environment variable is invalid. The message is one line."""


class OutputError(Exception):
    """Standard output cannot be written to. The command did nothing."""
