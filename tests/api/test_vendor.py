"""The vendor's client and ours send the same request for the same call, for every operation."""

from __future__ import annotations

import functools
import inspect
import json
import keyword
import re
import warnings
from enum import EnumType
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio.to_thread
import pytest
from aiohttp import BodyPartReader, web

from cloudtower_async import Cloudtower, models
from cloudtower_async.api import Namespaces
from cloudtower_async.api.catalogue import OPERATIONS

from ..support import TOKEN, serve
from .from_schema import ABSENT, SPECS, Maker, Raw, Shape, answer_schema, operations, spec

if TYPE_CHECKING:
    from collections.abc import Callable

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the vendor's, at import
    vendor = pytest.importorskip("cloudtower")
    vendor_api = pytest.importorskip("cloudtower.api")
    vendor_models = pytest.importorskip("cloudtower.models")


pytestmark = pytest.mark.anyio

# Operations that only the vendor's client has.
DUPLICATES = {
    # The schema lists the tag of `get_usb_devices` twice, so the vendor's generator creates two.
    ("usb_device", "get_usb_devices_0"),
    # The operation has two tags; ours is under the first: `resource_change`.
    ("internal", "get_resource_changes"),
}

LANGUAGE, TOWER_ID = "zh-CN", "tower-7"


class Request(NamedTuple):
    """The parts of a request that matter to the server."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str | None]
    content: object


class Recorder:
    """A server that records the last request and answers as configured."""

    def __init__(self) -> None:
        self.answer: object = None
        self.requests: list[Request] = []

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        names = ("authorization", "content-language", "external-cloudtower-id")
        self.requests.append(
            Request(
                request.method,
                request.path,
                dict(request.query),
                {name: request.headers.get(name) for name in names},
                await _content(request),
            )
        )
        return web.json_response(self.answer)


async def _content(request: web.BaseRequest) -> object:
    """Return the decoded JSON of a request, the fields of its form, or None without a body."""
    if request.content_type.startswith("multipart/"):
        fields: dict[str, str | bytes] = {}
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            assert part.name is not None
            assert part.name not in fields
            content = b"".join(await _chunks(part))
            fields[part.name] = content.decode() if part.filename is None else content
        return fields
    body = await request.read()
    return json.loads(body) if body else None


async def _chunks(part: BodyPartReader) -> list[bytes]:
    chunks: list[bytes] = []
    while chunk := await part.read_chunk():
        chunks.append(chunk)
    return chunks


def _methods(kind: type[object]) -> set[str]:
    return {
        name
        for name, value in vars(kind).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


def _ours() -> set[tuple[str, str]]:
    """Return namespace and name of each generated method."""
    tower: object = Namespaces()
    setattr(tower, "_executor", None)  # noqa: B010 - nothing is called
    names = [n for n, v in vars(Namespaces).items() if isinstance(v, functools.cached_property)]
    return {(name, method) for name in names for method in _methods(getattr(tower, name).__class__)}


@functools.cache
def vendors() -> dict[tuple[str, str], Any]:
    """Return the vendor's class for each namespace and method."""
    classes = [kind for _, kind in inspect.getmembers(vendor_api, inspect.isclass)]
    return {
        (kind.__module__.rpartition(".")[2].removesuffix("_api"), method): kind
        for kind in classes
        for method in _methods(kind)
        if not method.endswith("_with_http_info")
    }


def _python_name(wire: str) -> str:
    name = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", wire).lower().strip("_")
    return f"{name}_" if keyword.iskeyword(name) else name


class Call:
    """One operation with arguments for both clients."""

    def __init__(
        self,
        path: str,
        *,
        query: Raw | None = None,
        content: Any = None,  # noqa: ANN401 - JSON, or the fields of a form
        is_form: bool = False,
    ) -> None:
        self.path = path
        self.namespace, _, self.method = OPERATIONS[path].partition(".")
        self.kind = vendors()[self.namespace, self.method]
        # The vendor's client accepts what the schema declares.
        self.has_language = "content_language" in getattr(self.kind, self.method).__doc__
        self.query: Raw = query or {}
        self.content = content
        self.is_form = is_form

    @classmethod
    def made_from_schema(cls, path: str, operation: Raw, maker: Maker) -> Call:
        """Return a call with arguments that fit the schema."""
        query: Raw = {
            p["name"]: maker.argument(p["schema"])
            for p in operation["parameters"]
            if p["in"] == "query"
        }
        for content_type, described in operation.get("requestBody", {}).get("content", {}).items():
            content = maker.argument(described["schema"])
            is_form = content_type.startswith("multipart/")
            return cls(path, query=query, content=content, is_form=is_form)
        return cls(path, query=query)

    def _keywords(self) -> Raw:
        arguments: Raw = self.query | (self.content or {})
        return {_python_name(wire): value for wire, value in arguments.items()}

    async def by_ours(self, tower: Cloudtower) -> None:
        method = getattr(getattr(tower, self.namespace), self.method)
        common = {"external_cloudtower_id": TOWER_ID}
        if self.has_language:
            common["content_language"] = LANGUAGE
        is_list = isinstance(self.content, list)
        if is_list:
            await method(self.content, **common)
        else:
            await method(**self._keywords(), **common)

    def by_vendors(self, client: Any) -> None:  # noqa: ANN401 - it has no types
        common: dict[str, object] = {
            "external_cloudtower_id": TOWER_ID,
            "_preload_content": False,  # the answer is not compared
        }
        if self.has_language:
            common["content_language"] = LANGUAGE
        method = getattr(self.kind(client), self.method)
        if self.content is None or self.is_form:
            method(**self._keywords(), **common)
        else:
            method(self.content, **common)

    def differences(self, ours: Request, vendors: Request) -> list[str]:
        """Return the differences between both requests, and between our request and the call."""
        skipped = set[str]()
        if not self.has_language:
            # The schema declares no language here, and the vendor's client has no default language.
            skipped.add("content-language")
        shown = [
            request._replace(headers={k: v for k, v in request.headers.items() if k not in skipped})
            for request in (ours, vendors)
        ]
        found = [
            f"{self.path}: {name}: ours {one!r}, the vendor's {other!r}"
            for name, one, other in zip(Request._fields, *shown, strict=True)
            if one != other
        ]
        given = (f"/v2/api{self.path}", {k: str(v) for k, v in self.query.items()}, self.content)
        if (ours.path, ours.query, ours.content) != given:
            found.append(f"{self.path}: sent {ours!r}, given {given!r}")
        return found


def test_names_are_the_vendors() -> None:
    ours, theirs = _ours(), set(vendors())
    assert ours == {tuple(name.split(".")) for name in OPERATIONS.values()}
    assert ours - theirs == set()
    assert theirs - ours == DUPLICATES


def _is_member(kind: Any, key: str) -> bool:  # noqa: ANN401 - it has no types
    return getattr(kind, key) in kind.allowable_values


def _vendors_enums() -> dict[str, dict[str, str]]:
    """Return the vendor's enums that answers contain: the value of each member, by name."""
    classes: list[tuple[str, Any]] = inspect.getmembers(vendor_models, inspect.isclass)
    return {
        name: {key: getattr(kind, key) for key in dir(kind) if _is_member(kind, key)}
        for name, kind in classes
        if hasattr(kind, "allowable_values") and hasattr(models, name)
    }


def test_every_member_of_the_vendors_enums_has_its_name_and_value_here() -> None:
    theirs = _vendors_enums()
    ours: dict[str, Any] = {name: getattr(models, name) for name in theirs}
    assert {
        name: {key: ours[name].__members__.get(key) for key in members}
        for name, members in theirs.items()
    } == theirs
    enums = {name for name in dir(models) if isinstance(getattr(models, name), EnumType)}
    assert set(ours) == enums


@pytest.mark.skipif(not SPECS.is_dir(), reason=ABSENT)
async def test_every_operation_sends_what_the_vendors_client_sends(
    tell: Callable[[str], None],
) -> None:
    document = spec("latest")
    maker = Maker(document)
    recorder = Recorder()
    differences: list[str] = []
    compared = 0
    without_language: list[str] = []
    async with serve(recorder) as url, Cloudtower(url, token=TOKEN) as tower:
        options = vendor.Configuration(host=f"{url}/v2/api")
        options.api_key["Authorization"] = TOKEN
        client = vendor.ApiClient(options)
        try:
            for path, _, operation in operations(document):
                call = Call.made_from_schema(path, operation, maker)
                declared = {parameter["name"] for parameter in operation["parameters"]}
                assert call.has_language is ("content-language" in declared)
                recorder.answer = maker.answer(answer_schema(operation), Shape(optional=False))
                recorder.requests.clear()
                await call.by_ours(tower)
                await anyio.to_thread.run_sync(call.by_vendors, client)
                ours, theirs = recorder.requests
                differences += call.differences(ours, theirs)
                compared += 1
                if not call.has_language:
                    without_language.append(path)
        finally:
            client.rest_client.pool_manager.clear()
            client.close()
    assert differences == []
    methods = len(_ours())
    tell(
        f"operations in the schema: {len(document['paths'])} = generated methods: {methods}"
        f" = compared with the vendor's client: {compared}"
        f"\n  beside: {sorted('.'.join(pair) for pair in DUPLICATES)} are duplicates of the"
        " vendor's client, of operations that are compared"
        f"\n  content-language not compared of {len(without_language)} operations that do not"
        " declare it: ours sends the session's, the vendor's none"
    )
    assert len(document["paths"]) == methods == compared
