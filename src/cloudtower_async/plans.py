"""Plans: the mutations that a session in plan mode did not send."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar, cast, overload

import msgspec

from .control_characters import one_line, printable
from .types import WithTask

T_co = TypeVar("T_co", covariant=True)

_SHOWN = 5
"""Maximum number of resources in the text of a planned mutation."""

_LONGEST = 200
"""Maximum number of characters of a body in the text of a planned mutation."""


class PlannedResource(msgspec.Struct, frozen=True, kw_only=True):
    """A resource that a planned mutation changes or creates.

    Attributes:
        type: Name of the resource's struct, such as ``"Vm"``.
        id: Id of the resource, or of its placeholder if the resource does not exist yet.
        name: Name of the resource. None if resources of this type have no name.
        exists: Whether the resource exists now. If False, this planned mutation or an earlier one
            would create the resource.
    """

    type: str
    id: str
    name: str | None = None
    exists: bool = True

    def __str__(self) -> str:
        known = self.id if self.exists else "planned"
        name = "" if self.name is None else one_line(self.name)
        return f"{self.type} {name} ({known})" if name else f"{self.type} {printable(known)}"


class PlannedMutation(msgspec.Struct, frozen=True, kw_only=True):
    """A mutation that a session in plan mode did not send.

    Attributes:
        operation: Name of the operation, such as ``"vm.start_vm"``, or the path for calls outside
            the schema.
        body: The arguments as they would be sent, with secrets redacted.
        resources: Resources that the mutation's filters matched when the mutation was planned.
            Each resource is in the list once.
        resolved: Whether the SDK could find out which resources the mutation would change. If
            False, the mutation can change resources that are not in ``resources``. For example, the
            SDK does not know what a call of ``tower.request`` changes.
        creates: Placeholders for the resources that the mutation would create.
        complete: Whether ``resources`` has all matching resources. If False, only the first 10,000
            resources were read.
    """

    operation: str
    body: object
    resources: tuple[PlannedResource, ...] = ()
    resolved: bool = False
    creates: tuple[PlannedResource, ...] = ()
    complete: bool = True

    def __str__(self) -> str:
        parts = [self.operation]
        if content := self._content():
            parts.append(content)
        if self.creates:
            parts.append("creates " + _listed(self.creates))
        if self.resources or not self.creates:
            nothing = "no resource matches" if self.resolved else "affected resources unknown"
            what = _listed(self.resources) or nothing
            parts.append(what if self.complete else f"{what}, and others")
        return ": ".join(parts)

    def _content(self) -> str:
        """Return `body` without its filter, as one line of text. The text can be empty."""
        body = self.body
        if isinstance(body, dict):
            fields = cast("dict[str, object]", body)
            body = {key: value for key, value in fields.items() if key != "where"}
        text = one_line(msgspec.json.encode(body).decode()) if body else ""
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


class Plan(Sequence[PlannedMutation]):
    """The mutations that a session in plan mode did not send, in the order of the calls.

    ``str(plan)`` has one line for each mutation. The line names at most five
    resources to change and five to create, and gives the number of the others. `PlannedMutation`
    has all of them.
    If the mutation's filter matches nothing, the line contains ``no resource matches``. If it is
    not known what the mutation would change, the line contains ``affected resources unknown``.
    """

    def __init__(self, mutations: Sequence[PlannedMutation] = ()) -> None:
        self._mutations = list(mutations)

    @property
    def resource_ids(self) -> frozenset[str]:
        """Ids of all resources that the plan would change, and ids of all placeholders.

        A placeholder stands for a resource that the plan would create. To find out whether two
        plans would change the same resources, compare these ids. Leave out the placeholders (see
        `is_placeholder`), because each plan has its own placeholders.
        """
        return frozenset(
            one.id for each in self._mutations for one in (*each.resources, *each.creates)
        )

    def is_placeholder(self, resource: object) -> bool:
        """Return whether a resource is a placeholder for a resource that this plan would create.

        Args:
            resource: The resource, or its id.
        """
        identifier = getattr(resource, "id", resource)
        return any(identifier == one.id for each in self._mutations for one in each.creates)

    def add(self, mutation: PlannedMutation) -> None:
        """Append a mutation."""
        self._mutations.append(mutation)

    def copy(self) -> Plan:
        """Return a copy of the plan. Mutations that are planned later are not added to the copy."""
        return Plan(self._mutations)

    @overload
    def __getitem__(self, index: int) -> PlannedMutation: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[PlannedMutation]: ...
    def __getitem__(self, index: int | slice) -> PlannedMutation | Sequence[PlannedMutation]:
        return self._mutations[index]

    def __len__(self) -> int:
        return len(self._mutations)

    def __iter__(self) -> Iterator[PlannedMutation]:
        return iter(self._mutations)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Plan) else NotImplemented

    def __str__(self) -> str:
        return "\n".join(map(str, self._mutations)) or "nothing would be changed"

    def __repr__(self) -> str:
        return f"<Plan of {len(self)} mutations>\n{self}" if self._mutations else "<empty Plan>"


class PlannedAnswer(WithTask[T_co], Generic[T_co], kw_only=True, frozen=True, gc=False):
    """Answer of a planned mutation. It is a `WithTask` whose ``task_id`` is None.

    ``data`` is the current state of the resource, or a placeholder for a resource that would be
    created.

    Attributes:
        operation: Name of the planned mutation, such as ``"vm.start_vm"``.
    """

    operation: str

    @property
    def deletes(self) -> bool:
        """Whether the mutation would delete the resource."""
        return self.operation.partition(".")[2].startswith("delete_")


def _listed(resources: tuple[PlannedResource, ...]) -> str:
    shown = ", ".join(map(str, resources[:_SHOWN]))
    more = len(resources) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
