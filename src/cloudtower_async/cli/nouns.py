"""Words for resources and steps, in the language of the user."""

from __future__ import annotations

from .language import ntr, tr

NOUNS = (
    "VM",
    "alert",
    "clone",
    "cluster",
    "host",
    "image",
    "snapshot",
    "task",
    "template",
    "volume",
)
"""Nouns for resources. Commands pass these nouns to the functions below."""

STEPS = (
    *("add disk", "check", "clone", "create", "delete", "detach disk", "done", "enter"),
    *("enter maintenance", "exit maintenance", "failed", "grow disk", "label", "leave"),
    *("lun snapshots", "migrate", "power off", "remove", "remove label", "reset", "resize"),
    *("resolve", "restart", "resume", "revert", "shut down", "snapshot", "start", "suspend"),
)
"""Names of the steps of changes: steps of commands, and steps that recipes report."""


def singular(noun: str) -> str:
    """Return a noun in singular, in the language of the user."""
    return tr(noun)


def plural(noun: str) -> str:
    """Return a noun in plural, in the language of the user."""
    return tr(f"{noun}s")


def counted(number: int, noun: str) -> str:
    """Return a number with a noun, in the language of the user: ``3 VMs``."""
    return ntr(f"{{number}} {noun}", f"{{number}} {noun}s", number)


def step_text(step: str) -> str:
    """Return the name of a step in the language of the user."""
    return tr(step)
