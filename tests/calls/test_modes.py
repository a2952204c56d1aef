"""Read-only sessions: which calls they send and which they reject."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from cloudtower_async import (
    Cloudtower,
    ContentLibraryImage,
    ElfFile,
    InvalidSettings,
    MutationRefused,
)
from cloudtower_async.calls import registry
from cloudtower_async.calls.operation import Kind
from tests.support import TOKEN, is_login, login_answer, serve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from cloudtower_async.calls.operation import Operation

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def counting() -> AsyncGenerator[tuple[str, list[str]]]:
    """A server that answers with an empty list and records the requested paths."""
    paths: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        await request.read()
        if is_login(request):
            return login_answer()
        if request.path.rstrip("/") == "/api":
            return web.json_response({"data": {"apiKeys": []}})
        return web.json_response([])

    async with serve(answer) as url:
        yield url, paths


def read_only(url: str, **options: Any) -> Cloudtower:  # noqa: ANN401
    return Cloudtower(url, token=TOKEN, mutations="refuse", **options)


OPERATIONS: list[Operation[Any]] = [
    operation for name in registry.namespaces() for operation in registry.operations_in(name)
]


def test_only_methods_that_read_are_queries() -> None:
    others = {"enter_maintenance_mode_precheck_result", "exit_maintenance_mode_precheck_result"}
    others |= {"export_csv", "download_nvram"}  # both return a file and change nothing
    queries = {one.name.split(".")[1] for one in OPERATIONS if one.kind is Kind.QUERY}
    assert {name for name in queries if not name.startswith("get_")} == others
    changing = {one.name.split(".")[1] for one in OPERATIONS if one.kind is not Kind.QUERY}
    assert not [name for name in changing if name.startswith("get_")]
    assert len(OPERATIONS) == 577


async def test_each_operation_is_sent_or_refused_by_its_kind() -> None:
    """Call the whole API and count requests at the server."""
    async with counting() as (url, paths), read_only(url, validate=False) as tower:
        for operation in OPERATIONS:
            paths.clear()
            refused: list[str] = []
            called = operation.answering(lambda: object)  # loading 577 types takes seconds
            called.loaded = True
            try:
                await tower._executor.send(  # pyright: ignore[reportPrivateUsage]
                    called, None, checked=True
                )
            except MutationRefused as error:
                refused = [error.operation, str(error).partition(":")[0]]
            sent = operation.kind is Kind.QUERY or operation.name == "user.login"
            assert len(paths) == sent
            assert refused == ([] if sent else [operation.name] * 2)


async def test_calls_by_path_are_refused_unless_they_only_read() -> None:
    async with counting() as (url, paths), read_only(url) as tower:
        await tower.request("/x", method="GET")
        await tower.raw("GET", "/x")
        await tower.raw("HEAD", "/x")
        assert len(paths) == 3
        calls: list[Callable[[], Any]] = [
            lambda: tower.request("/get-vms", {}),  # nothing shows that this only reads
            lambda: tower.raw("POST", "/x", json={}),
            lambda: tower.raw("PUT", "/x", data=b"x"),
            lambda: tower.raw("PATCH", "/x"),
            lambda: tower.raw("DELETE", "/x", auth="none"),
        ]
        for call in calls:
            with pytest.raises(MutationRefused):
                await call()
        assert len(paths) == 3


async def test_graphql_documents_are_refused_by_their_type() -> None:
    async with counting() as (url, paths), read_only(url) as tower:
        await tower.graphql("{ vms { id } }")
        await tower.graphql('query q { vms(where: {name: "mutation {"}) { id } } # mutation')
        await tower.graphql("query mutation { vms { id } } fragment subscription on Vm { id }")
        await tower.api_keys.list()
        assert len(paths) == 4
        calls: list[Callable[[], Any]] = [
            lambda: tower.graphql("mutation { deleteVm { id } }"),
            lambda: tower.graphql("query q { vms { id } } mutation m { deleteVm { id } }"),
            lambda: tower.graphql("subscription { vm { id } }"),
            lambda: tower.api_keys.create("bot"),
            lambda: tower.api_keys.delete("secret-of-the-key"),
        ]
        for call in calls:
            with pytest.raises(MutationRefused, match="graphql: refused"):
                await call()
        assert len(paths) == 4


async def test_an_upload_is_refused_before_the_file_is_opened(tmp_path: Path) -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        raise AssertionError("read")
        yield b""

    missing = tmp_path / "missing.iso"
    async with counting() as (url, paths), read_only(url) as tower:
        for upload in (
            tower.upload(missing, ContentLibraryImage(clusters={"name": "c"})),
            tower.upload(chunks(), ElfFile(cluster_id="c"), name="x", size=1),
        ):
            with pytest.raises(MutationRefused):
                await upload
        with pytest.raises(MutationRefused):
            async with tower.upload(missing, ElfFile(cluster_id="c")):
                pass
        assert paths == []


async def test_a_session_logs_in_even_if_it_is_read_only() -> None:
    async with counting() as (url, paths):
        async with Cloudtower(url, username="u", password="p", mutations="refuse") as tower:
            await tower.vm.get_vms()
        assert paths == ["/v2/api/login", "/v2/api/get-vms"]


async def test_with_options_makes_a_session_stricter_but_not_less_strict() -> None:
    async with counting() as (url, paths), Cloudtower(url, token=TOKEN) as tower:
        assert tower.mutations == "allow"
        strict = tower.with_options(mutations="refuse")
        assert strict.mutations == strict.with_options(timeout=5).mutations == "refuse"
        assert strict.with_options(mutations="refuse").mutations == "refuse"
        for session in (strict, strict.with_options(timeout=5)):
            with pytest.raises(MutationRefused):
                await session.vm.start_vm(where={"id": "v"})
        assert paths == []
        await tower.vm.start_vm(where={"id": "v"})
        assert paths == ["/v2/api/start-vm"]
        with pytest.raises(InvalidSettings, match="can tighten but not"):
            strict.with_options(mutations="allow")
        with pytest.raises(InvalidSettings, match="mutations: expected one of"):
            tower.with_options(mutations="deny")  # type: ignore[arg-type]


async def test_wrong_arguments_are_reported_before_the_mode_refuses_the_call() -> None:
    async with counting() as (url, _), read_only(url) as tower:
        with pytest.raises(ValueError, match="nmae"):
            await tower.vm.start_vm(where={"nmae": "x"})  # type: ignore[typeddict-unknown-key]
