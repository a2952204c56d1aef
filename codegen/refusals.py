"""What the generator refuses, before it writes a file: each with the place and the remedy."""

from __future__ import annotations


class SchemaError(ValueError):
    """The generator cannot use the schema. The text has one line for each reason."""
