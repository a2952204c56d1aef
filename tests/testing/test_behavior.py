"""Options of the simulator for what differs between servers, or is not known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async.testing import Simulator
from cloudtower_async.testing.effects import power
from tests.testing.client import connected

if TYPE_CHECKING:
    from cloudtower_async.testing.behavior import NothingMatches

pytestmark = pytest.mark.anyio

NOBODY = {"id": "nobody"}
BY_WHERE: dict[str, Any] = {
    **{path: {"where": NOBODY} for path in power.EFFECTS},
    "delete-vm-snapshot": {"where": NOBODY},
    "delete-vm": {"where": NOBODY},
    "delete-vm-folder": {"where": NOBODY},
    "resolve-alert": {"where": NOBODY},
    "delete-cluster-recycle-bin-setting": {"where": NOBODY},
    "update-customize-alert-rule": {"where": NOBODY, "data": {"clusters": {}}},
}


@pytest.mark.parametrize(("choice", "status"), [("empty", 200), ("404", 404)])
async def test_a_mutation_that_matches_nothing(choice: NothingMatches, status: int) -> None:
    async with connected(Simulator(clusters=1, vms=3, nothing_matches=choice)) as client:
        for path, body in BY_WHERE.items():
            answer = await client.send(path, body)
            assert answer.status == status, (path, answer.content)
            assert (answer.json == []) is (status == 200)


@pytest.mark.parametrize("choice", ["empty", "404"])
async def test_nothing_to_change_is_304_where_the_schema_says_so(choice: NothingMatches) -> None:
    async with connected(Simulator(clusters=1, vms=3, nothing_matches=choice)) as client:
        answer = await client.send("update-label", {"where": NOBODY, "data": {"key": "x"}})
        assert (answer.status, answer.content) == (304, b"")


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of empty, 404; got 'maybe'"):
        Simulator(nothing_matches="maybe")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_bearer_token_is_accepted() -> None:
    async with connected(Simulator(clusters=1, vms=3)) as client:
        client.headers["authorization"] = f"Bearer {client.headers['authorization']}"
        assert len(await client.ask("get-vms")) == 3
        client.headers["authorization"] = "Bearer made-up"
        assert (await client.send("get-vms")).status == 401
