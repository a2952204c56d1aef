"""Error messages on the command line."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cloudtower_async
from cloudtower_async import TaskTimeout, Unauthorized
from cloudtower_async.cli.errors import UsageError
from cloudtower_async.cli.messages import PHRASES, error_line, for_the_command

if TYPE_CHECKING:
    from collections.abc import Iterator

ARGUMENT = re.compile(r"(?:^|[ (])[a-z_]+=(?=[\s.,;:)]|$)|=(?:True|False)\b")
SHORTEST = 20  # of a message; the parts of a repr are shorter
OF_PROGRAMS = (
    "Check auth=: the server refused the credential or requires one.",
    ": pass json= or data=, not both",
    ": pass body= or query=, not both",
    "Check the function that was passed as credentials=.",
    "Check the function passed as credentials=, and the service that it queries.",
    "Report this with the request id; without strict=True the rest of such an answer is kept.",
    "upload: name: the source has no name; pass name=",
    "upload: size: the size of the source is unknown; pass size=, in bytes",
    "the server speaks no version of TLS that ssl_context= allows",
    ". Pass a longer timeout=.",  # of locks within a program
    ". Wait again, with a longer timeout= if needed.",  # of wait_until
    "eq=False does not fit: rows are compared by value; remove it",  # of select_fields
)
"""Texts of functions that no command uses."""


def texts(*apart: str) -> Iterator[str]:
    """Yield the strings in the package's code, except docstrings.

    Generated code, the command line, and the folders and files in `apart` are skipped.
    """
    root = Path(cloudtower_async.__file__).parent
    for file in sorted(root.rglob("*.py")):
        if file.relative_to(root).parts[0] in ("api", "cli", "inputs", "models", *apart):
            continue
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and node not in docstrings:
                yield text


def test_no_python_argument_is_left_in_messages() -> None:
    root = Path(cloudtower_async.__file__).parent
    apart = ("recipes", "simulator", "testing", *(file.name for file in root.glob("*.py")))
    found = [
        text
        for text in texts(*apart)
        if len(text) > SHORTEST and ARGUMENT.search(text) and text not in OF_PROGRAMS
    ]
    assert len(found) > 12
    assert [text for text in found if ARGUMENT.search(for_the_command(text))] == []


def test_every_phrase_is_one_of_the_package() -> None:
    known = list(texts("simulator", "testing"))
    assert [phrase for phrase in PHRASES if not any(phrase in text for text in known)] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Start again, without resume=.", "Start again, without --resume."),
        (
            "With username= and password=, the session logs in again by itself.",
            "With --username and CLOUDTOWER_PASSWORD, a command logs in by itself.",
        ),
        (
            "Check host, port and firewalls; connect_timeout= is the time-out.",
            "Check host, port and firewalls.",
        ),
        (
            "tower.vm_volume.get_vm_volumes shows the current state",
            "`get vm_volumes` shows the current state",
        ),
        (
            "HTTPS_PROXY is set but not used: pass trust_env=True to use it.",
            "HTTPS_PROXY is set but not used: pass --trust-env to use it.",
        ),
        (
            "Pass them in its address: proxy='http://user:password@host:port'.",
            "Pass them in its address: CLOUDTOWER_PROXY=http://user:password@host:port.",
        ),
        ("It is up. If the server requires a client certificate, pass client_cert=.", "It is up."),
        ("a text with token=abc of somebody", "a text with token=abc of somebody"),
    ],
)
def test_messages_for_programs_are_reworded_with_options(text: str, said: str) -> None:
    assert for_the_command(text) == said


def test_errors_are_reworded_with_options_and_own_messages_stay() -> None:
    assert error_line(TaskTimeout(["t"], 5.0)).endswith(
        "The tasks continue: wait again with `task wait`, and a longer --timeout if needed."
    )
    assert error_line(Unauthorized("no")).endswith("or set a new CLOUDTOWER_TOKEN.")
    assert error_line(UsageError("pass token=")) == "pass token="
