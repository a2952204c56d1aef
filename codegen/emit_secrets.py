"""Renders `secret_fields.py`: the fields whose values must never appear in logs and errors."""

from __future__ import annotations

import re

from . import corrections, emit_inputs
from .schema import Api, FreeForm, ListOf, Node, Record, Ref, Scalar

# A field whose name contains one of these words is a secret, unless its type cannot hold a secret.
SUSPICIOUS = (
    "passw|pass_?phrase|secret|token|credential|authorization|(?:api|private)_?key|user_?data"
    "|community"
)


def module(api: Api) -> str:
    """Return the text of `secret_fields.py`.

    A filter has the same secret fields as its resource.
    """
    secret, plain = set(corrections.SECRETS), set[str]()
    for record in api.types.values():
        if not isinstance(record, Record) or emit_inputs.is_filter(record.name):
            continue
        for prop in record.properties:
            if not re.search(SUSPICIOUS, prop.wire, re.IGNORECASE):
                continue
            holds = prop.wire not in corrections.NO_SECRETS and _can_hold(api, prop.node)
            (secret if holds else plain).add(prop.wire)
    return f'''"""Names of the fields that hold secrets in arguments and answers."""

from __future__ import annotations

SUSPICIOUS = r"{SUSPICIOUS}"
"""Pattern that finds the names of secrets, even of secrets that are not in the schema."""

SECRET_FIELDS = frozenset({{{_texts(secret)}}})
"""Names of fields whose values are secrets."""

PLAIN_FIELDS = frozenset({{{_texts(plain - secret)}}})
"""Names of fields that match `SUSPICIOUS`, but whose values are not secrets."""
'''


def may_show_one(record: Record) -> bool:
    """Return whether an answer of this type can contain a secret."""
    return any(
        prop.wire in corrections.SECRETS | corrections.JSON_TEXTS
        or isinstance(prop.node, FreeForm)
        or prop.node == Scalar("Any")
        or (
            re.search(SUSPICIOUS, prop.wire, re.IGNORECASE) is not None
            and prop.wire not in corrections.NO_SECRETS
            and not (isinstance(prop.node, Scalar) and prop.node.python in ("int", "float", "bool"))
        )
        for prop in record.properties
    )


def _can_hold(api: Api, node: Node) -> bool:
    """Return whether a type can hold a secret: it is a string, or contains strings."""
    match node:
        case Scalar(python):
            return python not in ("int", "float", "bool")
        case Ref(name):
            return isinstance(api.types[name], Record)
        case ListOf(items):
            return _can_hold(api, items)
        case _:
            return isinstance(node, FreeForm)


def _texts(names: set[str]) -> str:
    return ", ".join(f'"{name}"' for name in sorted(names))
