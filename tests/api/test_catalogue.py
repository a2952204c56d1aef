"""The generated namespaces, their constants and the catalogue agree."""

from __future__ import annotations

import enum
import functools
import importlib
import inspect
import typing
from typing import TYPE_CHECKING, Any, cast

import pytest

from cloudtower_async import inputs, models, types
from cloudtower_async.api import Namespaces
from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.calls.namespace import Namespace
from cloudtower_async.calls.operation import Carries, Kind, Operation

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

COMMON = ["content_language", "external_cloudtower_id", "timeout"]
NAMES = sorted(
    name for name, value in vars(Namespaces).items() if isinstance(value, functools.cached_property)
)


def _module(namespace: str) -> ModuleType:
    return importlib.import_module(f"cloudtower_async.api.{namespace}")


def _constants(namespace: str) -> dict[str, Operation[Any]]:
    """Return the operations of a module by constant."""
    return {n: op for n, op in vars(_module(namespace)).items() if isinstance(op, Operation)}


def _namespace(name: str) -> type[Namespace]:
    tower: object = Namespaces()
    setattr(tower, "_executor", None)  # noqa: B010 - nothing is called
    namespace = getattr(tower, name)
    assert isinstance(namespace, Namespace)
    return type(namespace)


def _methods(name: str) -> dict[str, Callable[..., Any]]:
    return {n: f for n, f in vars(_namespace(name)).items() if inspect.iscoroutinefunction(f)}


def test_every_namespace_of_the_catalogue_exists() -> None:
    assert set(NAMES) == {name.partition(".")[0] for name in OPERATIONS.values()}
    assert len(NAMES) > 100


def test_every_path_leads_to_one_method() -> None:
    assert len(set(OPERATIONS.values())) == len(OPERATIONS)
    assert len({path for path in OPERATIONS if path.startswith("/")}) == len(OPERATIONS) > 500


@pytest.mark.parametrize("name", NAMES)
def test_catalogue_constants_and_methods_agree(name: str) -> None:
    listed = {
        n.partition(".")[2]: path for path, n in OPERATIONS.items() if n.startswith(f"{name}.")
    }
    constants = _constants(name)
    assert {constant.lower() for constant in constants} == set(listed) == set(_methods(name))
    for constant, operation in constants.items():
        assert operation.name == f"{name}.{constant.lower()}"
        assert operation.path == listed[constant.lower()]


@pytest.mark.parametrize("name", NAMES)
def test_a_method_takes_the_keys_of_its_body_and_the_common_arguments(name: str) -> None:
    constants = _constants(name)
    for method, function in _methods(name).items():
        operation = constants[method.upper()]
        parameters = dict(inspect.signature(function).parameters)
        assert list(parameters)[-3:] == COMMON, method
        own = [parameter for wire, parameter in parameters.items() if wire != "self"][:-3]
        body = operation.body() if operation.body else None
        if typing.get_origin(body) is list:
            assert [p.name for p in own] == ["items"], method
            assert own[0].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD, method
            continue
        required: frozenset[str] = getattr(body, "__required_keys__", frozenset())
        optional: frozenset[str] = getattr(body, "__optional_keys__", frozenset())
        assert len(own) == len(required | optional), method
        assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in own), method
        needed = [p.name for p in own if p.default is inspect.Parameter.empty]
        assert len(needed) == len(required), method
        assert [p.name for p in own][: len(needed)] == needed, method


@pytest.mark.parametrize("name", NAMES)
def test_every_method_documents_its_path_and_first_version(name: str) -> None:
    constants = _constants(name)
    for method, function in _methods(name).items():
        operation = constants[method.upper()]
        said = inspect.getdoc(function) or ""
        assert f"`{operation.method} {operation.path}`, since CloudTower {operation.since}." in said
        changes = "Changes the server's state." in said
        assert changes is (operation.kind is not Kind.QUERY), method
        assert ("status 304" in said) is operation.not_modified, method


@pytest.mark.parametrize("name", NAMES)
def test_the_types_of_every_method_resolve(name: str) -> None:
    constants = _constants(name)
    for method, function in _methods(name).items():
        hints = typing.get_type_hints(function, localns=_static_names())
        assert set(hints) == {*inspect.signature(function).parameters, "return"} - {"self"}
        assert hints["return"] == constants[method.upper()].answer(), method


@functools.cache
def _static_names() -> dict[str, Any]:
    """Return the names that the modules import only for type checkers, with their values."""
    from collections.abc import Mapping, Sequence

    names = ("ContentLanguage", "FileContent", "Texts")
    enums = (name for name in dir(models) if isinstance(getattr(models, name), enum.EnumMeta))
    return {
        **{f"{name}Member": getattr(models, name) for name in enums},
        "Mapping": Mapping,
        "Sequence": Sequence,
        "Literal": typing.Literal,
        "inputs": inputs,
        "models": models,
        **{name: getattr(types, name) for name in names},
    }


def test_operations_that_may_return_304_return_a_list() -> None:
    found = [op for name in NAMES for op in _constants(name).values() if op.not_modified]
    assert len(found) == 27
    assert all(typing.get_origin(operation.answer()) is list for operation in found)


def test_forms_are_uploads_and_all_but_two_operations_use_post() -> None:
    every = [op for name in NAMES for op in _constants(name).values()]
    forms = {op.path for op in every if op.carries is Carries.FORM}
    assert forms == {op.path for op in every if op.kind is Kind.UPLOAD}
    assert len(forms) == 6
    assert {op.path for op in every if op.method != "POST"} == {"/get-version", "/resource-changes"}


def test_exactly_the_operations_that_only_read_are_queries() -> None:
    every = [op for name in NAMES for op in _constants(name).values()]
    changing = [
        op.path for op in every if op.path.startswith("/get-") and op.kind is not Kind.QUERY
    ]
    assert changing == []
    reading = {op.path for op in every if not op.path.startswith("/get-") and op.kind is Kind.QUERY}
    assert reading == {
        "/download_nvram",
        "/enter-maintance-mode-precheck-result",
        "/exit-maintance-mode-precheck-result",
        "/export-csv",
        "/resource-changes",
    }


def test_arguments_have_a_typed_dict_with_resolvable_types() -> None:
    for name in dir(inputs):
        kind = getattr(inputs, name)
        if isinstance(kind, type):
            names = {**_static_names(), **_inputs_and_variants()}
            hints = typing.get_type_hints(kind, localns=names)
            assert set(hints) == kind.__required_keys__ | kind.__optional_keys__, name  # type: ignore[attr-defined]


@functools.cache
def _inputs_and_variants() -> dict[str, Any]:
    """Return every type in ``inputs`` by name. The name of a variant maps to the whole filter."""
    every = {name: cast("object", getattr(inputs, name)) for name in dir(inputs)}
    filters = {name: kind for name, kind in every.items() if name.endswith("WhereInput")}
    return every | {f"{n}{depth}": kind for n, kind in filters.items() for depth in (2, 3)}
