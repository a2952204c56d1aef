"""Structs that `select_fields` accepts, and structs that it rejects before any request."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar, cast

import msgspec
import pytest

from cloudtower_async import Cloudtower, InvalidInput, OpenEnum, models, select_fields

if TYPE_CHECKING:
    from decimal import Decimal

T = TypeVar("T")


@pytest.fixture
def tower() -> Cloudtower:
    return Cloudtower("https://tower.example", token="t")


class NamedCluster(msgspec.Struct, kw_only=True):
    id: str
    name: str


class Misspelled(msgspec.Struct):
    memmory: int


class MisspelledInside(msgspec.Struct):
    class Cluster(msgspec.Struct):
        nmae: str

    cluster: Cluster | None = None


class UnlikeAny(msgspec.Struct):
    xyzzy: int


class WithoutNone(msgspec.Struct):
    cpu_usage: float


class WithoutDefault(msgspec.Struct):
    cpu_usage: float | None


class RawWithoutDefault(msgspec.Struct):
    cpu_usage: msgspec.Raw


class NamedInPython(msgspec.Struct):
    entity_async_status: str | None = None


class Fraction(msgspec.Struct):
    cpu_usage: int | None = None


class TextForNumber(msgspec.Struct):
    memory: str


class NumberForText(msgspec.Struct):
    name: int


class WrongItems(msgspec.Struct):
    vm_disks: list[str] | None = None


class Whole(msgspec.Struct):
    vm_disks: NamedCluster | None = None


class WrongValues(msgspec.Struct):
    cpu: dict[str, int]


class Keys(msgspec.Struct):
    cpu: dict[int, Any]


class Date(msgspec.Struct):
    cpu: tuple[int, ...]


class Few(Enum):
    RUNNING = "RUNNING"


class ClosedEnum(msgspec.Struct):
    status: Few


class ClosedLiteral(msgspec.Struct):
    status: Literal["RUNNING", "STOPPED"]


class Constrained(msgspec.Struct):
    vcpu: Annotated[int, msgspec.Meta(ge=1)]


class RawId(msgspec.Struct):
    id: msgspec.Raw


class Empty(msgspec.Struct):
    pass


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    id: str


class Tagged(msgspec.Struct, tag="vm"):
    id: str


class Array(msgspec.Struct, array_like=True):
    id: str


class ByIdentity(msgspec.Struct, eq=False):
    id: str


class Checked(msgspec.Struct):
    id: str

    def __post_init__(self) -> None:
        raise ValueError("never called")


class TaggedInside(msgspec.Struct):
    cluster: Tagged | None = None


class Unresolvable(msgspec.Struct):
    memory: Decimal


@pytest.mark.parametrize(
    ("struct", "why"),
    [
        (Misspelled, "the API has no field `memmory`; did you mean `memory`"),
        (MisspelledInside, "the API has no field `cluster.nmae`; did you mean `name`?"),
        (UnlikeAny, "the API has no field `xyzzy`"),
        (WithoutNone, "`cpu_usage` may be None; declare it `float | None = None`"),
        (WithoutDefault, "may leave out `cpu_usage`; declare it `float | None = None`"),
        (RawWithoutDefault, "may leave out `cpu_usage`; declare it `msgspec.Raw | None = None`"),
        (
            NamedInPython,
            "declare it `entity_async_status: EntityAsyncStatus | None = msgspec.field(",
        ),
        (Fraction, "`cpu_usage` is `float | None` in the API, not `int | None`"),
        (TextForNumber, "`memory` is `int` in the API, not `str`"),
        (NumberForText, "`name` is `str` in the API, not `int`"),
        (WrongItems, "`vm_disks` is `NestedVmDisk` in the API, not `str`"),
        (Whole, "`vm_disks` is `list[NestedVmDisk] | None` in the API, not `NamedCluster | None`"),
        (WrongValues, "`cpu` is `Any` in the API, not `int`"),
        (Keys, "`cpu` is `NestedCpu` in the API, not `dict[int, Any]`"),
        (Date, "`cpu` is `NestedCpu` in the API, not `"),
        (ClosedEnum, "`status`: `Few` would refuse values that newer servers send; use `VmStatus`"),
        (ClosedLiteral, "`Literal['RUNNING', 'STOPPED']` would refuse values that newer servers"),
        (Constrained, "`vcpu`: constraints of msgspec.Meta are not supported"),
        (RawId, "`id` must be a `str`"),
        (Empty, "it has no fields"),
        (Strict, "forbid_unknown_fields would refuse every answer"),
        (Tagged, "the API has no tags"),
        (Array, "array_like does not fit"),
        (ByIdentity, "eq=False does not fit"),
        (Checked, "__post_init__ is not supported"),
        (TaggedInside, "`cluster`: Tagged: the API has no tags"),
        (Unresolvable, "cannot resolve an annotation: name 'Decimal' is not defined"),
    ],
)
def test_a_struct_that_does_not_fit_is_refused(
    tower: Cloudtower, struct: type[msgspec.Struct], why: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        select_fields(tower.vm.get_vms, struct)
    text = str(caught.value)
    assert text.startswith(f"select_fields: vm.get_vms: {struct.__name__}: ")
    assert why in text


class State(OpenEnum):
    RUNNING = "RUNNING"


class Branch(msgspec.Struct, kw_only=True):
    """A struct that contains itself. The check of such a struct must end."""

    id: str
    host: Branch | None = None


class Named(msgspec.Struct, Generic[T], kw_only=True):
    name: T


def test_types_may_be_those_of_the_api_or_wider(tower: Cloudtower) -> None:
    class Vm(msgspec.Struct, kw_only=True, rename={"state": "status", "busy": "entityAsyncStatus"}):
        id: str
        state: State
        firmware: str
        memory: float
        vcpu: Annotated[int, msgspec.Meta(description="virtual CPUs")]
        ha: object
        cpu: msgspec.Raw
        labels: list[msgspec.Raw] | None = None
        vm_disks: list[dict[str, Any]] | None = None
        host: Named[str] | None = None
        cluster: models.NestedCluster | None = None
        busy: Any = None
        cpu_usage: float | msgspec.UnsetType | None = msgspec.UNSET

    select_fields(tower.vm.get_vms, Vm)
    select_fields(tower.vm.get_vms, models.Vm)


def test_a_struct_of_a_function_works_unless_its_annotations_name_another_one(
    tower: Cloudtower,
) -> None:
    class Local(msgspec.Struct, kw_only=True):
        id: str
        cluster: NamedCluster | None = None

    class Inner(msgspec.Struct):
        name: str

    class Outer(msgspec.Struct):
        cluster: Inner | None = None

    select_fields(tower.vm.get_vms, Local)
    with pytest.raises(InvalidInput, match=r"Outer: cannot resolve .*'Inner'.*top level"):
        select_fields(tower.vm.get_vms, Outer)


def test_a_struct_may_contain_itself(tower: Cloudtower) -> None:
    with pytest.raises(InvalidInput, match=r"no field `host\.host`"):
        select_fields(tower.vm.get_vms, Branch)


@pytest.mark.parametrize("given", [dict, NamedCluster(id="c", name="n"), [NamedCluster], None])
def test_other_types_than_structs_are_rejected(tower: Cloudtower, given: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidInput, match=r"expected a subclass of msgspec\.Struct, got"):
        select_fields(tower.vm.get_vms, given)


@pytest.mark.anyio
async def test_other_methods_than_queries_of_resources_are_rejected(tower: Cloudtower) -> None:
    mutation: Any = tower.vm.start_vm
    count: Any = tower.vm.get_vms_connection
    text: Any = tower.api_info.get_api_version
    for method, name in ((mutation, "start_vm"), (count, "connection"), (text, "get_api_version")):
        with pytest.raises(InvalidInput, match=rf"{name} is not a query of many resources"):
            select_fields(method, NamedCluster)
    for other in (len, tower, "vm.get_vms"):
        with pytest.raises(InvalidInput, match=r"select_fields: expected a method of the session"):
            select_fields(cast("Any", other), NamedCluster)
    with pytest.raises(InvalidInput, match=r"its call: leave out the"):
        select_fields(cast("Any", tower.vm.get_vms()), NamedCluster)


def test_every_full_struct_fits_itself_field_by_field(tower: Cloudtower) -> None:
    fields = msgspec.structs.fields(models.Vm)
    copy = msgspec.defstruct(
        "Copy",
        [
            (one.name, one.type, msgspec.field(default=one.default, name=one.encode_name))
            for one in fields
        ],
        kw_only=True,
    )
    select_fields(tower.vm.get_vms, copy)
