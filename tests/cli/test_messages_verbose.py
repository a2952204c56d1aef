"""The options ``-v`` and ``-vv``, which show exchanges with the server."""

from __future__ import annotations

import logging
import re

import anyio.to_thread
import pytest

from cloudtower_async.cli import main
from cloudtower_async.testing import Simulator
from tests.support import set_login_variables


@pytest.mark.anyio
async def test_exchanges_are_shown_with_request_ids_and_without_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Simulator(clusters=1, vms=2) as sim:
        set_login_variables(monkeypatch, sim)

        async def errors(*options: str) -> list[str]:
            command = ["get", "vms", "-o", "csv", *options]
            assert await anyio.to_thread.run_sync(main, command) == 0
            output = capsys.readouterr()
            assert output.out.count("\n") == 3
            assert sim.password not in output.err
            return output.err.splitlines()

        login, query, _ = await errors("-v")
        assert " user.login: HTTP 200 in " in login
        line = (
            rf"cloudtower-async: vm\.get_vms: HTTP 200 in \d\.\d{{3}} s from {re.escape(sim.url)}, "
            r"request id \S+"
        )
        assert re.fullmatch(line, query)
        login, query, _ = await errors("-vv")
        assert "sent ***; answered ***" in login
        assert '"first":' in query
        assert "answered [" in query
        assert "; request id " in query
        assert await errors() == []
        assert logging.getLogger("cloudtower_async").level == logging.NOTSET
