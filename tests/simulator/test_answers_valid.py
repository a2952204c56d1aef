"""Every answer of the simulator is valid in the newest API schema.

Every answer in the tests of this folder is compared with the schema, see ``client``. Here are the
requests that other tests do not send, and the count of compared answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.simulator.store.schema import resource_query
from cloudtower_async.testing import FleetSize, Simulator
from tests.simulator import openapi
from tests.simulator.client import connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.simulator.client import Client

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not openapi.present(), reason=openapi.ABSENT),
]


ALWAYS_REFUSED = {"create-root-user"}
"""Operations that the simulator always rejects: a root user already exists."""


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    # One of four clusters runs VMware, and one is disconnected: figures are missing.
    async with connected(Simulator(FleetSize(clusters=4, vms=60))) as client:
        yield client


async def test_every_resource(client: Client, tell: Callable[[str], None]) -> None:
    queries = {
        path.removeprefix("/"): asked for path in OPERATIONS if (asked := resource_query(path))
    }
    documents = 0
    for path, asked in queries.items():
        for language in ("en-US",) if asked.counts else ("en-US", "zh-CN", "*"):
            documents += len(await client.ask(path, {}, content_language=language))
    tell(f"{len(queries)} queries: {documents} documents fit the API schema")


async def test_invalid_answers_are_detected(client: Client) -> None:
    answer = await client.ask("get-vms", {"first": 1})
    assert openapi.complaints("get-vms", answer) == []
    wrong = [{**answer[0], "vcpu": "2", "nmae": "x", "status": "ASLEEP", "ha": None}]
    found = openapi.complaints("get-vms", wrong)
    assert len(found) == 4
    assert any(one.startswith("get-vms $[0].vcpu: '2' is not of type 'integer'") for one in found)
    del answer[0]["id"]
    [missing] = openapi.complaints("get-vms", answer)
    assert missing == "get-vms $[0]: 'id' is a required property"


def test_every_modelled_operation_was_looked_at(tell: Callable[[str], None]) -> None:
    unmodelled = {*Simulator().unmodelled()}
    modelled = {
        path.removeprefix("/") for path, name in OPERATIONS.items() if name not in unmodelled
    }
    tell(
        f"{openapi.VALIDATED.total()} answers of {len(modelled & openapi.VALIDATED.keys())}"
        f" of {len(modelled)} modelled operations fit the API schema"
    )
    missing = sorted(modelled - openapi.VALIDATED.keys() - ALWAYS_REFUSED)
    assert not missing, missing
