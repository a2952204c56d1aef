"""Answers of every known server version can be decoded, and no sent value is lost."""

from __future__ import annotations

import base64
import functools
import importlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec
import pytest

from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.types import OpenEnum

from .from_schema import ABSENT, SPECS, VERSIONS, Maker, Raw, Shape, answer_schema, operations, spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloudtower_async.calls.operation import Operation

pytestmark = pytest.mark.skipif(not SPECS.is_dir(), reason=ABSENT)

SHAPES = (
    Shape(top=2, items=2),
    Shape(items=1),
    Shape(items=0),
    Shape(top=0),
    Shape(optional=False),
    Shape(optional=False, null=True),
    Shape(null=True),
)


class Sample(NamedTuple):
    """An answer as sent and as decoded, to compare value by value."""

    sent: bytes
    read: object


def _operation(path: str) -> Operation[Any]:
    namespace, _, method = OPERATIONS[path].partition(".")
    module = importlib.import_module(f"cloudtower_async.api.{namespace}")
    return cast("Operation[Any]", getattr(module, method.upper()))


@functools.cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, str]:
    return {field.encode_name: field.name for field in msgspec.structs.fields(struct)}


class Comparison:
    """Compares a sent value and a decoded value recursively."""

    def __init__(self) -> None:
        self.values = 0
        self.differences: list[str] = []

    def compare(self, sent: object, read: object, place: str) -> None:
        if isinstance(read, msgspec.Struct):
            self._struct(sent, read, place)
        elif isinstance(read, list):
            self._list(sent, cast("list[object]", read), place)
        else:
            self.values += 1
            if not _same(sent, read):
                self.differences.append(f"{place}: sent {sent!r}, read {read!r}")

    def _struct(self, sent: object, read: msgspec.Struct, place: str) -> None:
        if not isinstance(sent, dict):
            self.differences.append(f"{place}: sent {sent!r}, read {type(read).__name__}")
            return
        members = cast("dict[str, object]", sent)
        fields = _fields(type(read))
        for wire, value in members.items():
            if wire in fields:
                self.compare(value, getattr(read, fields[wire]), f"{place}.{wire}")
            else:
                self.differences.append(f"{place}.{wire}: there is no field for it")
        for wire in fields.keys() - members.keys():
            if getattr(read, fields[wire]) is not None:
                self.differences.append(f"{place}.{wire}: was not sent and is not None")

    def _list(self, sent: object, read: list[object], place: str) -> None:
        items = cast("list[object]", sent) if isinstance(sent, list) else []
        if len(items) != len(read):
            self.differences.append(f"{place}: sent {sent!r}, read {len(read)} elements")
        for i, (one, other) in enumerate(zip(items, read, strict=False)):
            self.compare(one, other, f"{place}[{i}]")


def _same(sent: object, read: object) -> bool:
    if isinstance(read, bytes):
        return isinstance(sent, str) and base64.b64decode(sent) == read
    if isinstance(sent, bool) or isinstance(read, bool):
        return sent is read
    if isinstance(read, OpenEnum):
        # A member, not only a string that equals one.
        return sent == read and read.name in type(read).__members__
    return sent == read


def _samples(
    maker: Maker, schema: Raw, operation: Operation[Any], walk: Comparison
) -> Iterator[Sample]:
    def sample(shape: Shape) -> Sample:
        sent = maker.answer(schema, shape)
        body = json.dumps(sent).encode()
        read = operation.decoder.decode(body)
        walk.compare(sent, read, operation.name)
        return Sample(body, read)

    for shape in SHAPES:
        yield sample(shape)
    while maker.value_is_due(schema):
        yield sample(Shape(top=2, items=2))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_answer_decodes_and_reads_back(version: str, tell: Callable[[str], None]) -> None:
    document = spec(version)
    maker = Maker(document)
    walk = Comparison()
    walked: dict[str, tuple[Operation[Any], list[Sample]]] = {}
    answers = count = 0
    for path, method, described in operations(document):
        operation = _operation(path)
        assert operation.method == method
        schema = answer_schema(described)
        first, samples = walked.get(json.dumps(schema), (operation, []))
        if not samples:
            samples = list(_samples(maker, schema, operation, walk))
            walked[json.dumps(schema)] = operation, samples
        else:
            # An earlier operation has the same schema, so its values were compared there.
            assert operation.answer() == first.answer(), path
            for sent, read in samples:
                assert operation.decoder.decode(sent) == read, path
        answers += len(samples)
        count += 1
    assert walk.differences == []
    tell(
        f"CloudTower {version}: {count} operations, {answers} answers of"
        f" {len(walked)} schemas, {walk.values} values read back, among them all"
        f" {maker.enum_values} enum values"
    )
    assert count == len(document["paths"])
    assert walk.values > 10_000


def test_every_operation_is_in_the_newest_schema() -> None:
    assert {path for path, _, _ in operations(spec("latest"))} == set(OPERATIONS)
