"""Requests of an editor to pyright's language server."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


class LanguageServer:
    """Client of the language server protocol over pipes, one request at a time."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests, self._answers = requests, answers
        self._id = 0

    def notify(self, method: str, **params: object) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    def ask(self, method: str, **params: object) -> Any:  # noqa: ANN401 - any JSON
        """Send a request and return its result."""
        self._id += 1
        self._send({"id": self._id, "method": method, "params": params})
        while True:
            message = self._read()
            if "method" in message:
                self._answer(message)
            elif message["id"] == self._id:
                return message["result"]

    def _answer(self, request: dict[str, Any]) -> None:
        if "id" in request:  # the server requests the editor's settings
            sections = [item.get("section") for item in request["params"].get("items", ())]
            settings = [{"pythonPath": sys.executable} if s == "python" else {} for s in sections]
            self._send({"id": request["id"], "result": settings or None})

    def _send(self, message: dict[str, object]) -> None:
        body = msgspec.json.encode({"jsonrpc": "2.0", **message})
        self._requests.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._requests.flush()

    def _read(self) -> dict[str, Any]:
        length = 0
        while line := self._answers.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return msgspec.json.decode(self._answers.read(length), type=dict[str, Any])


@contextmanager
def pyright(folder: Path) -> Generator[LanguageServer]:
    """Run pyright's language server for a folder."""
    command = [sys.executable, "-m", "pyright.langserver", "--stdio"]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        server = LanguageServer(process.stdin, process.stdout)
        root = folder.as_uri()
        server.ask(
            "initialize",
            processId=None,
            rootUri=root,
            capabilities={"workspace": {"configuration": True}},
            workspaceFolders=[{"uri": root, "name": "program"}],
        )
        server.notify("initialized")
        try:
            yield server
        finally:
            server.ask("shutdown")
            server.notify("exit")
