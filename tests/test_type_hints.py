"""Annotations of the public API can be evaluated at run time."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING, cast, get_args, get_type_hints

import pytest

import cloudtower_async
from cloudtower_async import Cloudtower, models
from cloudtower_async.api import Namespaces, namespaces
from cloudtower_async.calls.registry import namespace_property
from cloudtower_async.tasks import waiter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def packages() -> list[ModuleType]:
    """Return the package and its subpackages with public names."""
    prefix = f"{cloudtower_async.__name__}."
    below = (
        importlib.import_module(prefix + found.name)
        for found in pkgutil.iter_modules(cloudtower_async.__path__)
        if found.ispkg and not found.name.startswith("_")
    )
    return [cloudtower_async, *(package for package in below if hasattr(package, "__all__"))]


def annotated(value: object) -> Iterator[object]:
    """Return a function, or a class with its public methods and properties."""
    if inspect.isfunction(value):
        yield value
    elif inspect.isclass(value):
        yield value
        ours = (base for base in value.__mro__ if base.__module__.startswith("cloudtower_async"))
        for base in ours:
            for name, member in vars(base).items():
                if name.startswith("_") and name != "__init__":
                    continue
                if isinstance(member, staticmethod | classmethod):
                    yield inspect.unwrap(cast("Callable[..., object]", member))
                elif isinstance(member, property):
                    yield member.fget
                elif isinstance(member, namespace_property):
                    yield member.func
                elif inspect.isfunction(member) or inspect.isclass(member):
                    yield from annotated(member)


@pytest.mark.parametrize("package", packages(), ids=lambda package: package.__name__)
def test_annotations_of_everything_public_are_evaluated(package: ModuleType) -> None:
    failed: dict[object, str] = {}
    for name in package.__all__:
        for found in annotated(getattr(package, name)):
            try:
                get_type_hints(found)
            except (NameError, TypeError, AttributeError) as exc:
                failed[found] = str(exc)
    assert not failed


def test_annotations_of_every_answer_are_evaluated() -> None:
    for name in dir(models):
        assert get_type_hints(getattr(models, name)) is not None


def test_a_namespace_of_the_session_is_annotated_with_its_class() -> None:
    assert get_type_hints(vars(Namespaces)["vm"].func)["return"] is namespaces.VmNamespace


def test_types_that_are_loaded_later_are_the_public_ones() -> None:
    hints = get_type_hints(Cloudtower.upload)
    assert hints["return"].__origin__ is cloudtower_async.Upload
    assert get_type_hints(vars(Cloudtower)["api_keys"].fget)["return"] is cloudtower_async.ApiKeys


def test_waitable_types_are_evaluated_outside_their_module() -> None:
    for method in (Cloudtower.wait, waiter.TaskWaiter.wait):
        waitable = next(iter(get_type_hints(method).values()))
        assert {str, cloudtower_async.HasTaskId} < {*get_args(waitable)}
