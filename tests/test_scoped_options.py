"""`with_options`: options for a part of the program over the same connections."""

from __future__ import annotations

import gc
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from cloudtower_async import Cloudtower, InvalidInput, RetryPolicy, ScopedOptions, errors
from cloudtower_async.options import scoped_options
from tests.support import PASSWORD, TOKEN, is_login, login_answer, serve

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.anyio

SECRET = "5ecret-of-this-part"


class Server:
    """A server that answers every call with an empty list or with a configured status.

    Attributes:
        seen: Path and headers of each request.
        status: Status of answers to calls.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[str, Mapping[str, str]]] = []
        self.status = 200

    async def __call__(self, request: web.Request) -> web.Response:
        self.seen.append((request.path.rpartition("/")[2], request.headers))
        await request.read()
        if is_login(request):
            return login_answer()
        if self.status != 200:
            said = {"message": f"saw {dict(request.headers)}"}
            return web.json_response(said, status=self.status)
        return web.json_response([])


@pytest.fixture
def server() -> Server:
    return Server()


async def test_headers_are_added_and_nested_ones_combine(server: Server) -> None:
    async with (
        serve(server) as url,
        Cloudtower(url, token=TOKEN, headers={"x-app": "a", "x-part": "none"}) as tower,
    ):
        part = tower.with_options(headers={"X-Part": "one"})
        inner = part.with_options(timeout=5, headers={"x-inner": "i"}).with_options(timeout=6)
        for each in (tower, part, inner):
            await each.vm.get_vms(external_cloudtower_id="t")
        await inner.raw("GET", "/x")
    sent = [
        tuple(headers.get(name) for name in ("x-app", "x-part", "x-inner"))
        for _, headers in server.seen
    ]
    expected = [("a", "none", None), ("a", "one", None), ("a", "one", "i")]
    assert sent == [*expected, expected[-1]]
    assert server.seen[2][1]["external-cloudtower-id"] == "t"
    assert server.seen[2][1]["content-language"] == "en-US"


async def test_headers_are_not_sent_with_logins(server: Server) -> None:
    async with serve(server) as url:
        tower = Cloudtower(url, username="root", password=PASSWORD)
        await tower.with_options(headers={"x-part": "one"}).vm.get_vms()
        await tower.close()
    assert [(path, headers.get("x-part")) for path, headers in server.seen] == [
        ("login", None),
        ("get-vms", "one"),
    ]


async def test_headers_that_look_like_credentials_are_redacted(server: Server) -> None:
    server.status = 400
    async with serve(server) as url, Cloudtower(url, token=TOKEN) as tower:
        inner = tower.with_options(headers={"x-api-key": SECRET}).with_options(timeout=5)
        gc.collect()  # the session in between is deleted, and its secret still in use
        with pytest.raises(errors.BadRequest) as info:
            await inner.vm.get_vms()
        assert server.seen[-1][1]["x-api-key"] == SECRET
        with_variables = traceback.TracebackException.from_exception(
            info.value, capture_locals=True
        )
        assert SECRET not in "".join(with_variables.format())
        mask = tower._transport.mask  # pyright: ignore[reportPrivateUsage]
        assert SECRET not in mask.text(f"it said {SECRET}")


async def test_secrets_of_a_part_that_has_ended_take_no_memory() -> None:
    tower = Cloudtower("tower.example", token=TOKEN)
    mask = tower._transport.mask  # pyright: ignore[reportPrivateUsage]
    before = repr(mask)
    for number in range(50):
        tower.with_options(headers={"authorization-of-user": f"{SECRET}-{number}"})
    gc.collect()
    mask.hold([])
    assert repr(mask) == before


async def test_the_retry_policy_of_a_part_applies_to_it_alone(server: Server) -> None:
    server.status = 503
    policy = RetryPolicy(attempts=3, backoff=1e-6)
    async with serve(server) as url, Cloudtower(url, token=TOKEN, retry=policy) as tower:
        once = tower.with_options(retry=RetryPolicy(attempts=1))
        for each, attempts in ((tower, 3), (once, 1), (once.with_options(timeout=5), 1)):
            server.seen.clear()
            with pytest.raises(errors.ServerError):
                await each.vm.get_vms()
            assert len(server.seen) == attempts


@pytest.mark.parametrize(("of_session", "of_part"), [(3, 500), (500, 3)])
async def test_a_retry_takes_from_the_budgets_of_the_session_and_of_the_part(
    server: Server, of_session: int, of_part: int
) -> None:
    server.status = 503
    policy = RetryPolicy(attempts=100, backoff=1e-6, cap=1e-6, budget=of_session)
    async with serve(server) as url, Cloudtower(url, token=TOKEN, retry=policy) as tower:
        part = tower.with_options(
            retry=RetryPolicy(attempts=100, backoff=1e-6, cap=1e-6, budget=of_part)
        )

        async def sent(by: Cloudtower) -> int:
            server.seen.clear()
            with pytest.raises(errors.ServerError):
                await by.vm.get_vms()
            return len(server.seen)

        assert await sent(part) == 1 + 3
        assert await sent(part) == 1
        assert await sent(tower) == (1 if of_session == 3 else 100)
        server.status = 200
        for _ in range(4):  # two calls return two tokens
            await part.vm.get_vms()
        server.status = 503
        assert await sent(part) == 1 + 2


async def test_validation_can_be_turned_off_for_a_part(server: Server) -> None:
    async with serve(server) as url, Cloudtower(url, token=TOKEN) as tower:
        where: Any = {"of_the_future": 1}
        with pytest.raises(InvalidInput):
            await tower.vm.get_vms(where=where)
        newer = tower.with_options(validate=False)
        assert await newer.vm.get_vms(where=where) == []
        with pytest.raises(InvalidInput):
            await newer.with_options(validate=True).vm.get_vms(where=where)


WRONG: dict[str, Any] = {
    "content_language": "fr",
    "timeout": 0,
    "lock_timeout": -1,
    "validate": "yes",
    "mutations": "deny",
    "middleware": ["audit"],
    "headers": {"authorization": "x"},
    "retry": 3,
    "max_in_flight": 0,
    "rate_limit": 0,
    "priority": "urgent",
}


def test_there_is_a_wrong_value_of_each_option() -> None:
    assert WRONG.keys() == ScopedOptions.__annotations__.keys()


@pytest.mark.parametrize("option", sorted(WRONG.keys() - {"priority"}))
def test_each_option_is_checked_as_that_of_the_session(option: str) -> None:
    tower = Cloudtower("tower.example", token=TOKEN)
    given: Any = {option: WRONG[option]}
    with pytest.raises(errors.InvalidSettings) as of_part:
        tower.with_options(**given)
    with pytest.raises(errors.InvalidSettings) as of_session:
        Cloudtower("tower.example", token=TOKEN, **given)
    assert of_part.value.option == option
    assert str(of_part.value) == str(of_session.value)


def test_a_priority_is_one_of_three() -> None:
    tower = Cloudtower("tower.example", token=TOKEN)
    with pytest.raises(errors.InvalidSettings, match="priority: expected one of high, normal, low"):
        tower.with_options(priority=WRONG["priority"])


def test_an_unknown_option_is_a_type_error_that_names_the_nearest() -> None:
    wrong: Any = {"time_out": 5}
    with pytest.raises(
        TypeError,
        match=r"with_options\(\) got an unexpected keyword argument 'time_out'.*`?timeout",
    ):
        Cloudtower("tower.example", token=TOKEN).with_options(**wrong)


def test_none_keeps_the_present_value() -> None:
    assert scoped_options(dict.fromkeys(ScopedOptions.__annotations__)) == {}
