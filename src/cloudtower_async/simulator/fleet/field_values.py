"""Plausible field values, chosen by the name and the type of the field."""

from __future__ import annotations

import functools
import re
import types
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin

import msgspec

from .sizing import GIB, TB

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..factory import Factory

_DAY = 86_400

_UNKNOWN = re.compile(
    r"entityAsyncStatus|vm|error\w*|\w+_(message|error|reason)|deleted_at|ldap_dn|auth_config_id"
    r"|(max|egress|ingress|qos|bps|iops)_\w+|ec_[km]|\w+_ec_[km]|\w*failover_test\w*|rebuild_\w+"
    r"|maintenance_\w+|internal_\w+|password_\w+|last_out_of_sync\w*|original_\w+|\w+_pass_phrase"
    r"|usage|encrypt_method|ibdev|placement\w+|plan_id|preset|sync_replication_object_status"
)
"""Names of optional fields that are always null."""

_BEST = (
    *("SUCCESSED", "SUCCESS", "SUCCEED", "HEALTHY", "NORMAL", "RUNNING", "Running", "CONNECTED"),
    *("READY", "WORKING", "WORK", "DEPLOYED", "SCHEDULING", "SYNCED", "X86_64", "EN_US", "LOCAL"),
    *("ENTERPRISE", "PERPETUAL", "REPLICA", "REPLICA_2_THIN_PROVISION", "REPLICA_1", "TCP", "V2C"),
    *("CRASH_CONSISTENT", "COUNT", "DAILY", "DAY", "AUTO", "FULL", "IN_USE", "ENABLE", "ISCSI"),
    *("ALLOW", "VM", "UTC", "BIOS", "MANAGEMENT", "PERCENT", "DEFAULT", "NFS3", "UPLOADING"),
)
"""Preferred enum values, mostly for a healthy state."""

_TRUE = re.compile(
    r"enabled?|\w+_enabled|healthy|valid|is_valid|up|running|physical|thin_provision|\w*provision"
    r"|keep\w*|installed|ha|default_ha|compression|is_preferred|binded|file"
)

# The first matching pattern determines the number. The patterns for bytes are near the end, because
# many field names contain "size".
_NUMBERS: tuple[tuple[str, float], ...] = (
    (r"rd_iops_max|wr_iops_max|priority", 0),
    (r"\w*replica_num", 2),
    (r"\w*stripe_num", 4),
    (r"stripe_size", 262_144),
    (r"\w*port", 443),
    (r"mtu", 1500),
    (r"speed", 10_000_000_000),
    (r"\w*(ratio|usage|reduction_\w+|efficiency)", 0.25),
    (r"\w*percent\w*", 80),
    (r"progress", 1),
    (r"\w*(interval|retention|time_span|\w+_value|keep)", 7),
    (r"hour|minute", 2),
    (r"date|day|month|week\w*|version|position|height|numa_node|row|column|\w+version", 1),
    (r"\w*chunk_num|max_\w+_num|\w*max_\w*jobs|max_\w*retry_times|retry_interval", 64),
    (r"chunk_size", 8 * 2**20),
    (r"\w*duration", 95),
    (r"vcpu|cores|sockets|\w*cpu_cores|max_core_num", 4),
    (r"\w*hz\w*", 2_400_000_000),
    (r"\w*memory\w*", 8 * GIB),
    (r"(\w*failure|\w*dirty|\w*downgraded|\w*planned|io|shared|\w*pin\w*)_\w*(space|size)", 0),
    (r"(bps|iops|burst|count|failed)\w*", 0),
    (r"(\w+_)?(vf|mdev|partitioning|vgpus|vlan|snapshot)_(num|id)", 0),
    (r"\w*(used|physical|unique|read)_\w*(space|size|bytes)\w*", 40 * GIB),
    (r"\w*(total|valid|system|max)\w*(capacity|space)", 2 * TB),
    (r"\w*(size|(?<!name)space|capacity|bytes|valid\w+)\w*", 100 * GIB),
    (r"\w*job_count|\w*execute_num|\w*_num|cpu|priority", 1),
)

_TEXTS: tuple[tuple[str, Callable[[FieldValues], object]], ...] = (
    (r"id", lambda v: v.factory.ids.cuid()),
    (
        r"(\w+_)?(local_id|uuid|serial|volume_id|parent_\w+|slice|code|uid|group|inode_id)",
        lambda v: v.factory.ids.uuid(),
    ),
    (r"\w*expire\w*|\w+_end_date|estimated\w+", lambda v: v.date(3 * 365)),
    (r"next_\w+", lambda v: v.date(1)),
    (r"\w*(created?_?at|create_time|createAt|started_at|start_\w+|sign_date)", lambda v: v.born()),
    (r"window_\w+", lambda _: "02:00"),
    (r"\w+(_at|At|_date|_time|_timestamp|_time_point)|date|time|timestamp", lambda v: v.later()),
    (r"\w*description|message|cause|impact|solution", lambda _: ""),
    (r"\w*(secret|pass_phrase|password|kube_config)", lambda _: ""),
    (r"\w*(netmask|subnet_?mask|mask)", lambda _: "255.255.255.0"),
    (r"\w*gateway(_ip)?", lambda v: f"10.200.{v.number % 250}.1"),
    (r"\w*cidr", lambda v: f"10.200.{v.number % 250}.0/24"),
    (r"\w*mac\w*", lambda v: f"52:54:01:{v.serial()}"),
    (r"\w*whitelist|allowed_initiators", lambda _: "*/*"),
    (r"(\w+_)?(ip|vip|ips|ip_address|host|server|hostname|nexthop_ip)", lambda v: v.address()),
    (r"\w*vlan(Id)?|numa_node", lambda _: "0"),
    (r"bus_location", lambda v: f"0000:{v.number % 200 + 16:02x}:00.0"),
    (r"bus|slot|function_num", lambda v: f"{v.number % 32:02x}"),
    (r"class_code|(subsystem_)?(vendor|product)_id", lambda _: "10de"),
    (r"brand|model|vendor|verdor_name|manufacturer|driver", lambda _: "Example"),
    (r"resource_type", lambda _: "Vm"),
    (r"auth_type", lambda _: "LOCAL"),
    (r"\w*version|scosVersion", lambda _: "1.0.0"),
    (r"username|owner|display_username|community|\w*chap_name", lambda _: "operator"),
    (r"email\w*", lambda _: "operator@mail.example"),
    (r"mobile_phone", lambda _: "555-0100"),
    (r"iqn_name|\w*target_iqn", lambda v: f"iqn.2016-02.com.example:{v.name}"),
    (r"nqn_name", lambda v: f"nqn.2020-12.com.example:{v.name}"),
    (r"path|\w+_path", lambda v: f"/{v.name}"),
    (r"(\w+_)?(name|title|key)", lambda v: v.name),
    (r"value", lambda v: f"value-{v.number}"),
    (r"\w*_id", lambda v: v.factory.ids.uuid()),
)


class FieldValues:
    """Consistent values for the fields of one document.

    Args:
        factory: Factory that supplies ids, random numbers and the clock.
        name: Name of the document.
        number: Number of the document within its resource type.
    """

    def __init__(self, factory: Factory, name: str, number: int) -> None:
        self.factory: Factory = factory
        self.name: str = name
        self.number: int = number
        self._born = -factory.random.uniform(60, 300) * _DAY
        self._later = self._born * factory.random.uniform(0.1, 0.9)

    def date(self, days: float) -> str:
        """Return the date `days` days after the start of the server."""
        return self.factory.clock.timestamp(days * _DAY)

    def born(self) -> str:
        """Return the creation date of the document."""
        return self.factory.clock.timestamp(self._born)

    def later(self) -> str:
        """Return a date between `born` and the start of the server."""
        return self.factory.clock.timestamp(self._later)

    def address(self) -> str:
        """Return an IP address. Addresses repeat after 62,500 documents of a resource type."""
        return f"10.201.{self.number // 250 % 250}.{self.number % 250 + 1}"

    def serial(self) -> str:
        """Return three random bytes in hexadecimal, such as ``1a:2b:3c``."""
        digits = f"{self.factory.random.getrandbits(24):06x}"
        return f"{digits[:2]}:{digits[2:4]}:{digits[4:]}"

    def of(self, field: str, annotation: Any, *, inside: bool = False) -> Any:  # noqa: ANN401
        """Return a value that fits the name and the type of a field.

        Args:
            field: Name of the field in the API.
            annotation: Type of the field in the model.
            inside: Whether the field belongs to a nested object of the document.
        """
        kind = annotation
        parts = [part for part in get_args(annotation) if part is not types.NoneType]
        if types.NoneType in get_args(annotation):
            if inside or _UNKNOWN.fullmatch(field):
                return None
            kind = parts[0] if len(parts) == 1 else float
        return self._of(field, kind)

    def _of(self, field: str, kind: Any) -> Any:  # noqa: ANN401
        origin = get_origin(kind)
        if origin is list:
            return self._several(field, get_args(kind)[0])
        if origin is dict or kind is Any:
            return {}
        if kind is bool:
            return _TRUE.fullmatch(field) is not None
        if kind is int and field.endswith("_id"):
            return self.number + 1
        if kind in {int, float}:
            return _number(field, kind)
        if kind is str:
            make = _text(field)
            return self.name if make is None else make(self)
        if issubclass(kind, StrEnum):
            values = [str(member) for member in kind]
            return next((best for best in _BEST if best in values), values[0])
        return {
            name: self.of(name, inner, inside=True)
            for name, inner in fields_of(cast("type[msgspec.Struct]", kind))
        }

    def _several(self, field: str, item: Any) -> list[Any]:  # noqa: ANN401
        """Return a list with one item of the type `item`, as the value of a list field.

        If `item` is ``str``, return an empty list, because the meaning of the strings is unknown.
        """
        if item is str:
            return []
        return [self.of(field.removesuffix("s"), item)]


@functools.cache
def _text(field: str) -> Callable[[FieldValues], object] | None:
    return next((make for pattern, make in _TEXTS if re.fullmatch(pattern, field)), None)


@functools.cache
def _number(field: str, kind: type[int | float]) -> float:
    found = (number for pattern, number in _NUMBERS if re.fullmatch(pattern, field))
    return kind(next(found, 0))


@functools.cache
def fields_of(struct: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    """Return the API name and the type of each field of a model."""
    return tuple((field.encode_name, field.type) for field in msgspec.structs.fields(struct))
