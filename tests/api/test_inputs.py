"""The validation of arguments, compared with the schemas of all servers and the vendor's client."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from cloudtower_async import Cloudtower, EmptyFilter
from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.calls.operation import Carries, Kind, Operation
from cloudtower_async.calls.validation import check
from tests.calls.random_inputs import arguments, every_operation
from tests.support import TOKEN, serve

from .from_schema import ABSENT, SPECS, VERSIONS, Maker, Raw, Shape, operations, spec
from .test_vendor import Call, Recorder, vendor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio.from_thread import BlockingPortal

TAKING = every_operation()
SHAPES = {
    "everything": Shape(depth=2),
    "several of each": Shape(depth=2, top=2, items=3),
    "what is required": Shape(optional=False),
    "nulls": Shape(depth=2, null=True),
}


def find(path: str) -> Operation[Any]:
    """Return the operation at a path."""
    namespace, _, method = OPERATIONS[path].partition(".")
    module = importlib.import_module(f"cloudtower_async.api.{namespace}")
    found: Operation[Any] = getattr(module, method.upper())
    return found


def bodies(maker: Maker, operation: Raw, shape: Shape) -> Iterator[Any]:
    """Return valid arguments of an operation according to a schema."""
    query = {p["name"]: p["schema"] for p in operation["parameters"] if p["in"] == "query"}
    if query:
        yield {name: maker.argument(schema, shape) for name, schema in query.items()}
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield maker.argument(content["schema"], shape)


@pytest.mark.skipif(not SPECS.is_dir(), reason=ABSENT)
@pytest.mark.parametrize("version", VERSIONS)
def test_arguments_that_a_server_accepts_are_never_rejected(
    version: str, tell: Callable[[str], None]
) -> None:
    document = spec(version)
    maker = Maker(document)
    checked = wide = 0
    for name, shape in SHAPES.items():
        for path, _, operation in operations(document):
            for body in bodies(maker, operation, shape):
                checked += 1
                try:
                    check(find(path), body, validate=True)
                except EmptyFilter:
                    # Required keys and nulls of a filter are not relevant here.
                    assert name in ("what is required", "nulls")
                    wide += 1
    tell(
        f"CloudTower {version}: {checked} bodies of {len(document['paths'])} operations pass,"
        f" but for {wide} with a filter that may match everything"
    )
    assert checked > 3 * len(document["paths"])


@pytest.mark.skipif(not SPECS.is_dir(), reason=ABSENT)
def test_each_filter_of_a_mutation_in_the_schema_is_guarded() -> None:
    document = spec("latest")
    maker = Maker(document)
    guarded = 0
    for path, _, operation in operations(document):
        found = find(path)
        if found.kind is Kind.QUERY:
            continue
        for body in bodies(maker, operation, SHAPES["everything"]):
            for content in operation["requestBody"]["content"].values():
                for spoilt in _emptied(maker, content["schema"], body):
                    with pytest.raises(EmptyFilter):
                        check(found, spoilt, validate=True)
                    guarded += 1
    assert guarded > 330


def _emptied(maker: Maker, schema: Raw, body: Any) -> Iterator[Any]:  # noqa: ANN401
    """Yield one copy of the body for each filter in the body. In the copy, this filter is empty."""
    name = next(iter(maker.names(schema)), "")
    if name.endswith(("WhereInput", "WhereUniqueInput")):
        yield {}
    elif isinstance(body, list):
        for spoilt in _emptied(maker, maker.items(schema), body[0]):
            yield [spoilt]
    elif isinstance(body, dict):
        for wire, value in maker.properties(schema)[0].items():
            if wire in body:
                for spoilt in _emptied(maker, value, body[wire]):
                    yield {**body, wire: spoilt}


class Both:
    """Our client, the vendor's client, and a recorder of their requests."""

    def __init__(
        self,
        portal: BlockingPortal,
        tower: Cloudtower,
        client: Any,  # noqa: ANN401 - it has no types
        recorder: Recorder,
    ) -> None:
        self.portal = portal
        self.tower = tower
        self.client = client
        self.recorder = recorder

    def differences(self, operation: Operation[Any], given_: Any) -> list[str]:  # noqa: ANN401
        """Make the same call with both clients, and return the differences of the requests."""
        if operation.carries is Carries.QUERY_STRING:
            call = Call(operation.path, query=given_)
        else:
            is_form = operation.carries is Carries.FORM
            call = Call(operation.path, content=given_, is_form=is_form)
        self.recorder.answer = _least(inspect.type_info(operation.answer()))
        self.recorder.requests.clear()
        self.portal.call(call.by_ours, self.tower)
        call.by_vendors(self.client)
        ours, theirs = self.recorder.requests
        return call.differences(ours, theirs)


def _least(kind: inspect.Type) -> object:
    """Return the shortest answer of a type: empty lists, and only required fields."""
    match kind:
        case inspect.StructType(fields=fields):
            return {f.encode_name: _least(f.type) for f in fields if f.required}
        case inspect.CollectionType():
            return []
        case inspect.DictType():
            return {}
        case inspect.IntType() | inspect.FloatType():
            return 1
        case inspect.BoolType():
            return True
        case _:  # enums are open, and the others accept a string too
            return ""


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    recorder = Recorder()
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serve(recorder)) as url,
        portal.wrap_async_context_manager(Cloudtower(url, token=TOKEN)) as tower,
    ):
        options = vendor.Configuration(host=f"{url}/v2/api")
        options.api_key["Authorization"] = TOKEN
        client = vendor.ApiClient(options)
        yield Both(portal, tower, client, recorder)
        client.rest_client.pool_manager.clear()
        client.close()


@pytest.mark.parametrize("operation", TAKING, ids=[operation.name for operation in TAKING])
@settings(max_examples=3, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_random_arguments_are_sent_as_the_vendors_client_sends_them(
    both: Both, operation: Operation[Any], data: st.DataObject
) -> None:
    assert both.differences(operation, data.draw(arguments(operation))) == []
