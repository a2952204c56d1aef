"""Upload tasks of the server: what is said when one cannot be cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.uploads.upload_tasks import UploadTasks
from tests.support import TOKEN, serve

if TYPE_CHECKING:
    from aiohttp import web

pytestmark = pytest.mark.anyio


async def test_a_server_that_does_not_answer_a_cancellation_is_named_as_the_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await anyio.sleep_forever()
        raise AssertionError

    async with serve(hang) as url, Cloudtower(url, token=TOKEN) as tower:
        tasks = UploadTasks(tower._caller, 1, 1)  # pyright: ignore[reportPrivateUsage]
        await tasks.cancel("u1", 0.01)
    assert "upload task u1 could not be cancelled: no answer within 0.01 s" in caplog.text
