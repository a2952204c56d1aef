"""Annotations can be evaluated at run time, as validation and documentation libraries do."""

from __future__ import annotations

import inspect
import pydoc
from typing import (
    TYPE_CHECKING,
    Any,
    ForwardRef,
    Literal,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import jsonschema
import msgspec
import pytest

from cloudtower_async import Cloudtower, inputs, models
from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.api.vm import VmNamespace
from cloudtower_async.types import ContentLanguage

if TYPE_CHECKING:
    from types import ModuleType

_RECORDS: list[str] = [name for name in dir(inputs) if is_typeddict(getattr(inputs, name))]


def test_annotations_of_every_operation_are_evaluated() -> None:
    tower = Cloudtower("tower.example", token="t")
    for path, name in OPERATIONS.items():
        namespace, _, method = name.partition(".")
        hints = get_type_hints(getattr(getattr(tower, namespace), method))
        assert hints["content_language"] == ContentLanguage | None, path
        assert "return" in hints


@pytest.mark.parametrize("name", _RECORDS)
def test_annotations_of_every_argument_are_evaluated(name: str) -> None:
    record = getattr(inputs, name)
    hints = get_type_hints(record)
    assert hints.keys() == record.__annotations__.keys()
    assert not any(map(_holds_text, hints.values()))


def _holds_text(hint: object) -> bool:
    if get_origin(hint) is Literal:
        return False
    return isinstance(hint, str | ForwardRef) or any(map(_holds_text, get_args(hint)))


def test_help_shows_none_as_default_of_optional_arguments() -> None:
    tower = Cloudtower("127.0.0.1", token="t")
    for namespace, method in (name.split(".") for name in OPERATIONS.values()):
        parameters = inspect.signature(getattr(getattr(tower, namespace), method)).parameters
        defaults = [parameter.default for parameter in parameters.values()]
        assert {*defaults} <= {None, inspect.Parameter.empty}
    assert "where: 'inputs.VmWhereInput' = None," in pydoc.plain(
        pydoc.render_doc(VmNamespace.get_vms)
    )


def test_a_filter_inside_a_filter_evaluates_to_the_full_filter() -> None:
    hints = get_type_hints(inputs.VmWhereInput)
    assert hints["cluster"] == inputs.ClusterWhereInput
    assert hints["vm_nics_some"] == inputs.VmNicWhereInput


def test_annotations_of_several_types_evaluate_to_the_json_type() -> None:
    hints = get_type_hints(inputs.VmWhereInput)
    assert hints["status"] == inputs.VmStatus | None
    assert get_origin(inputs.VmStatus) is Literal
    assert hints["id_in"] == list[str] | None
    assert hints["local_created_at_gt"] == str | None


@pytest.mark.parametrize("package", [inputs, models])
def test_every_argument_and_answer_has_a_json_schema(package: ModuleType) -> None:
    kinds = [getattr(package, name) for name in dir(package)]
    schemas, components = msgspec.json.schema_components(kinds)  # of one: msgspec.json.schema
    assert len(schemas) == len(package.MODULES)
    records = [kind for kind in kinds if is_typeddict(kind) or hasattr(kind, "__struct_fields__")]
    assert components.keys() >= {record.__name__ for record in records}
    for record in records:
        described = components[record.__name__]["properties"].keys()
        assert len(described) == len(record.__annotations__)


def test_the_schema_of_an_argument_rejects_invalid_values() -> None:
    schema: Any = jsonschema.Draft202012Validator(msgspec.json.schema(inputs.VmWhereInput))
    right = {
        "name_contains": "web",
        "status": models.VmStatus.RUNNING,
        "id_in": ["a"],
        "cluster": {"hosts_some": {"name": None}},
        "AND": [{"local_created_at_gt": "2026-01-31T08:00:00Z"}],
    }
    assert schema.is_valid(right)
    assert msgspec.convert(right, inputs.VmWhereInput) == right
    for wrong in (
        {"name": 5},
        {"status": "ON"},
        {"id_in": "a"},
        {"cluster": {"vms_some": {"vcpu": "4"}}},
    ):
        assert not schema.is_valid(wrong), wrong
