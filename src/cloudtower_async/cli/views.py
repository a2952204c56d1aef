"""Columns of tables for people: default columns of resources, and texts of the cells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from . import human
from .columns import (
    TOWER,
    Path,
    default_columns,
    field_path,
    has_column,
    is_number,
    narrowed,
    value_at,
    without_tower,
)
from .errors import UsageError
from .language import tr
from .similar_names import did_you_mean, may_mean
from .tables import Fit, Room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import msgspec

VIEWS = {
    "Alert": "alert=message severity cluster=cluster.name host=host.name age=local_start_time"
    " ended | disk=disk.name cause solution",
    "BackupPlan": "name status vms=vms next=next_execute_time last=last_execute_status"
    " size=physical_size | description",
    "CapacityForecast": "cluster=cluster_name outlook used capacity free growth=growth_per_day"
    " days=days_until_full | points",
    "Cluster": "name state=connect_state cpu=used_cpu_hz/total_cpu_hz"
    " memory=used_memory_bytes/total_memory_bytes storage=used_data_space/total_data_capacity"
    " hosts=host_num vms=vm_num version | type ip capacity=total_data_capacity",
    "ContentLibraryImage": "name size age=created_at clusters | path description",
    "ContentLibraryVmTemplate": "name vcpu memory size os age=created_at clusters | description",
    "Datacenter": "name clusters=cluster_num hosts=host_num vms=vm_num"
    " storage=used_data_space/total_data_capacity",
    "Disk": "name health=health_status size usage host=host.name type life=remaining_life_percent"
    " | model serial path",
    "ElfImage": "name size cluster=cluster.name age=local_created_at | path description",
    "Expiration": "name kind resource expires=expires_at days=days_left problem",
    "Host": "name status mode=host_state.state cpu=used_cpu_hz/total_cpu_hz"
    " memory=used_memory_bytes/total_memory_bytes storage=used_data_space/total_data_capacity"
    " vms=running_vm_num cluster=cluster.name ip=management_ip | state cores=total_cpu_cores model",
    "IscsiLun": "name size=assigned_size used=unique_size target=iscsi_target.name"
    " age=local_created_at",
    "Label": "key value total=total_num vms=vm_num hosts=host_num | age=created_at",
    "License": "license=license_serial type expires=expire_date edition=software_edition",
    "NicErrors": "host=host_name nic total rx_errors=receive_errors tx_errors=transmit_errors"
    " rx_dropped=receive_dropped tx_dropped=transmit_dropped"
    " | rx_fifo=receive_fifo_errors tx_fifo=transmit_fifo_errors host_id",
    "Nic": "name up ip=ip_address mac=mac_address mtu host=host.name | type model driver",
    "Orphan": "name kind size unique=unique_size cluster=cluster_name age=created_at reason"
    " | group=snapshot_group",
    "RankedMetric": "rank name=subject_name value unit | subject_id metric labels",
    "SnapshotPlan": "name status next=next_execute_time last=last_execute_status"
    " snapshots=remain_snapshot_num size=physical_size_bytes cluster=cluster.name",
    "Task": "what=description status progress started=started_at"
    " duration=started_at..finished_at user=user.name cluster=cluster.name"
    " | type error=error_message",
    "UploadTask": "id status size started=started_at updated=updated_at",
    "User": "name username role source password_expired | email=email_address",
    "UserAuditLog": "what=message status user=user.name ip=ip_address age=created_at"
    " | action resource_type resource_id",
    "Vlan": "name type vlan_id vds=vds.name",
    "Vm": "name status vcpu memory ips host=host.name cluster=cluster.name age=local_created_at"
    " | os=guest_os_type tools=vm_tools_status disks=provisioned_size description",
    "VmDisk": "disk=vm_volume.name vm=vm.name type bus boot | device serial",
    "VmNic": "vm=vm.name ip=ip_address mac=mac_address vlan=vlan.name enabled model",
    "VmPlacementGroup": "name enabled vms cluster=cluster.name | description",
    "VmSnapshot": "name vm=vm.name age=local_created_at size cluster=cluster.name"
    " consistency=consistent_type | vcpu memory description",
    "VmTemplate": "name vcpu memory size cluster=cluster.name age=local_created_at | description",
    "VmVolume": "name size used=used_size sharing cluster=cluster.name age=local_created_at"
    " | policy=elf_storage_policy path description",
}
"""Default columns by struct.

A column is a field (``name``), or a heading with an expression (``cluster=cluster.name``).

The heading ``age`` shows the time since a field. The expression ``a/b`` shows a percentage, and
``a..b`` shows the time between two fields. The columns after ``|`` are only shown with ``-o wide``,
which also shows the id.
"""

_AGES = ("local_created_at", "created_at")
_STATES = re.compile(r"(?:^|_)(?:status|state|health|severity)$")
_FLEXIBLE = frozenset(
    {
        "cause",
        "clusters",
        "description",
        "error_message",
        "ips",
        "message",
        "path",
        "solution",
        "vms",
    }
)
_FIELDS_IN = re.compile(r"\.\.|/")
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    paths: tuple[Path, ...]
    text: Callable[..., str]
    key: Callable[..., object]
    fit: Fit


class View:
    """Columns of a human-readable table of resources.

    Args:
        kind: Struct of the resources.
        names: Names of the columns: fields, or headings of the default columns. None means the
            default columns.
        wide: Whether the default columns include the id and the columns for ``-o wide``.
        or_else: Advice in the error about an unknown column if no known name is similar.

    Raises:
        UsageError: A column is unknown.
    """

    def __init__(
        self,
        kind: type[msgspec.Struct],
        names: Sequence[str] | None = None,
        *,
        wide: bool = False,
        or_else: str = "",
    ) -> None:
        chosen = _default_view(kind, wide=wide) if names is None else map(_spec_of(kind), names)
        self.kind = kind
        self._or_else = or_else
        self._columns = [self._column(spec) for spec in chosen]
        self.fits: list[Fit] = self._fits()
        # Never leave out columns that the user chose.
        self.room: Room = "whole" if wide else "fit" if names is None else "fold"
        self.names: list[str] = [column.name for column in self._columns]

    @property
    def paths(self) -> list[Path]:
        """Paths of all fields that the columns show."""
        return [path for column in self._columns for path in column.paths]

    def cells(self, row: object) -> list[str]:
        """Return the cell texts of the resource `row`, one for each column."""
        return [
            column.text(*[value_at(row, path) for path in column.paths]) for column in self._columns
        ]

    def order(self, text: str) -> SortOrder:
        """Return the sort order for a value of the option ``--sort``.

        Args:
            text: Name of a column or a field, optionally followed by ``:desc`` or ``:asc``.

        Raises:
            UsageError: The column or the direction is unknown.
        """
        name, colon, direction = text.partition(":")
        if colon and direction not in ("asc", "desc"):
            raise UsageError(
                tr("--sort: expected {name}:asc or {name}:desc, got {text!r}", name=name, text=text)
            )
        every = [self._column(spec) for spec in _default_view(self.kind, wide=True)]
        for column in (*self._columns, *every):
            if column.name == name.lower():
                break
        else:
            if not has_column(self.kind, name):
                meant = (
                    self._as_in_order_by(name)
                    or did_you_mean(name, [column.name for column in every])
                    or self._or_else
                )
                raise UsageError(
                    tr("--sort: there is no column {name!r}{meant}", name=name, meant=meant)
                )
            column = self._column(name)
        return SortOrder(column.paths, column.key, descending=direction == "desc")

    def _as_in_order_by(self, name: str) -> str:
        """For ``name_DESC``, the form of ``--order-by``, return a text that suggests ``name:desc``.

        For other names, return an empty text.
        """
        field, _, way = name.rpartition("_")
        known = way in ("ASC", "DESC") and has_column(self.kind, field)
        return may_mean([f"{field}:{way.lower()}"]) if known else ""

    def _fits(self) -> list[Fit]:
        first, *others = [column.fit for column in self._columns]
        return [Fit(kept=True, flexible=first.flexible, right=first.right), *others]

    def _column(self, spec: str) -> _Column:
        name, equals, shown = spec.partition("=")
        shown = shown if equals else spec
        path = partial(field_path, self.kind, or_else=self._or_else)
        if ".." in shown:
            paths = tuple(map(path, shown.split("..")))
            return _Column(name, paths, human.duration, human.seconds_between, Fit(right=True))
        if "/" in shown:
            paths = tuple(map(path, shown.split("/")))
            return _Column(name, paths, human.usage, human.ratio, Fit(right=True))
        only = path(shown)
        if name == "age":
            return _Column(name, (only,), human.age, _age, Fit(right=True))
        text, number = human.text_for(only[-1])
        fit = Fit(
            kept=name == "name" or _STATES.search(only[-1]) is not None,
            flexible=only[-1] in _FLEXIBLE,
            right=number or is_number(self.kind, only),
        )
        return _Column(name, (only,), text, _itself, fit)


@dataclass(frozen=True, slots=True)
class SortOrder:
    """Sort order of resources by one column."""

    paths: tuple[Path, ...]
    key: Callable[..., object]
    descending: bool

    def sort(self, rows: Iterable[object]) -> list[object]:
        """Return resources, sorted by the column. Resources without a value come last."""
        known: list[tuple[Any, object]] = []
        unknown: list[object] = []
        for row in rows:
            value = self.key(*[value_at(row, path) for path in self.paths])
            if value is None or value == "":
                unknown.append(row)
            else:
                known.append((_comparable(value), row))
        known.sort(key=lambda one: one[0], reverse=self.descending)
        return [*(row for _, row in known), *unknown]


def query_struct(
    kind: type[msgspec.Struct], paths: Iterable[Path], order_by: str | None
) -> type[msgspec.Struct]:
    """Return a struct type with only the fields at `paths`, the field of `order_by` and the id.

    Args:
        kind: Struct type of the resources.
        paths: Paths of the fields to show or to sort by.
        order_by: Value of ``orderBy`` in the request: ``name_ASC``. None means ``id_ASC``.
    """
    sorted_by = (order_by or "id_ASC").rpartition("_")[0]
    needed = [field_path(kind, name) for name in ("id", sorted_by) if has_column(kind, name)]
    return narrowed(kind, [*paths, *needed])


def name_column(kind: type[msgspec.Struct]) -> str:
    """Return ``"name"``, or ``"id"`` if the struct has no field ``name``."""
    return "name" if has_column(kind, "name") else "id"


def table_headings(kind: type[msgspec.Struct]) -> dict[str, list[str]]:
    """Return a mapping from each heading to its fields: ``{"age": ["created_at"]}``.

    Headings that equal the name of a field are left out.
    """
    specs = [spec.partition("=") for spec in _default_view(kind, wide=True)]
    return {
        name: _FIELDS_IN.split(shown)
        for name, equals, shown in specs
        if equals and not has_column(kind, name)
    }


def _spec_of(kind: type[msgspec.Struct]) -> Callable[[str], str]:
    """Return a function that converts a heading, ``age``, to a column: ``age=created_at``."""
    specs = {spec.partition("=")[0]: spec for spec in _default_view(kind, wide=True)}
    headings = table_headings(kind)

    def spec(name: str) -> str:
        if (lower := name.lower()) in headings:
            return specs[lower]
        return lower if has_column(kind, lower) else name

    return spec


def _default_view(kind: type[msgspec.Struct], *, wide: bool) -> list[str]:
    if has_column(kind, TOWER):
        return [TOWER, *_default_view(without_tower(kind), wide=wide)]
    if text := VIEWS.get(kind.__name__):
        usual, _, further = text.partition("|")
        columns = usual.split()
        more = further.split()
    else:
        columns, more = _derived_view(kind), []
    columns = [spec for spec in columns if _fits_kind(kind, spec)]
    if not wide or "id" in columns or not has_column(kind, "id"):
        return [*columns, *(more if wide else [])]
    return [*columns, *more, "id"]


def _fits_kind(kind: type[msgspec.Struct], spec: str) -> bool:
    shown = spec.partition("=")[2] or spec
    return all(has_column(kind, name) for name in _FIELDS_IN.split(shown))


def _derived_view(kind: type[msgspec.Struct]) -> list[str]:
    """Return the default columns of a struct that is not in `VIEWS`."""
    names = [name for name in default_columns(kind) if name != "id"]
    columns = [
        f"{name.removesuffix('.name')}={name}" if name.endswith(".name") else name
        for name in names
        if name != "name"
    ]
    first = name_column(kind)
    age = next((name for name in _AGES if has_column(kind, name) and name not in columns), None)
    return [first, *columns, *([f"age={age}"] if age else [])]


def _itself(value: object) -> object:
    return value


def _age(value: object) -> float | None:
    found = human.timestamp(value)
    return None if found is None else -found


def _comparable(value: object) -> tuple[int, object]:
    """Return a sort key that puts numbers before texts, and ``web-2`` before ``web-10``."""
    if isinstance(value, int | float):
        return 0, value
    parts = _DIGITS.split(human.plain(value).casefold())
    return 1, [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
