"""Mocks of a session that the standard library creates from its class."""

from __future__ import annotations

import inspect
from typing import Any, TypeAlias
from unittest.mock import create_autospec

import pytest

from cloudtower_async import Cloudtower, models
from cloudtower_async.api.vm import VmNamespace
from cloudtower_async.calls.namespace import Namespace
from cloudtower_async.calls.registry import namespaces, operations_in
from cloudtower_async.testing import make

pytestmark = pytest.mark.anyio

Double: TypeAlias = Any
"""A mock."""


@pytest.fixture
def double() -> Double:
    return create_autospec(Cloudtower, instance=True)


def _required(method: Double) -> dict[str, None]:
    parameters = inspect.signature(method).parameters.values()
    return {each.name: None for each in parameters if each.default is each.empty}


def test_a_namespace_of_the_class_is_the_class_of_the_namespace() -> None:
    for name in namespaces():
        kind = getattr(Cloudtower, name)
        assert issubclass(kind, Namespace)
        assert kind.__module__ == f"cloudtower_async.api.{name}"


async def test_every_operation_of_a_double_can_be_awaited(double: Double) -> None:
    for namespace in namespaces():
        for operation in operations_in(namespace):
            method = getattr(getattr(double, namespace), operation.name.partition(".")[2])
            method.return_value = operation.name
            assert await method(**_required(method)) == operation.name


async def test_a_double_returns_the_configured_value(double: Double) -> None:
    web = make(models.Vm, name="web-1")
    double.vm.get_vms.return_value = [web]
    assert await double.vm.get_vms(where={"name": "web-1"}) == [web]
    double.vm.get_vms.assert_awaited_once_with(where={"name": "web-1"})


def test_a_double_rejects_attributes_that_a_session_lacks(double: Double) -> None:
    with pytest.raises(AttributeError):
        _ = double.vmm
    with pytest.raises(AttributeError):
        _ = double.vm.get_vmms
    with pytest.raises(TypeError, match="unexpected keyword argument 'wher'"):
        double.vm.get_vms(wher={})


def test_a_double_is_an_instance_of_the_mocked_class(double: Double) -> None:
    assert isinstance(double, Cloudtower)
    assert isinstance(double.vm, VmNamespace)
