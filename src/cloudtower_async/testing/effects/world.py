"""What every mutation has to do with: the fleet, the tasks, locks, and refusing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import msgspec

from ..fleet.incidents import translated
from ..store.filters import QueryError
from ..tasks import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..fleet.hardware import Maker
    from ..store.filters import Document
    from ..tasks import Failure, TaskEngine

T = TypeVar("T")

_TEXTS = {
    "startVm": ("Power on VM {name}", "开启虚拟机 {name}"),
    "shutDownVm": ("Shut down VM {name}", "关闭虚拟机 {name}"),
    "poweroffVm": ("Power off VM {name}", "强制关闭虚拟机 {name}"),
    "restartVm": ("Restart VM {name}", "重启虚拟机 {name}"),
    "forceRestartVm": ("Force restart VM {name}", "强制重启虚拟机 {name}"),
    "suspendVm": ("Suspend VM {name}", "暂停虚拟机 {name}"),
    "resumeVm": ("Resume VM {name}", "恢复虚拟机 {name}"),
    "updateVm": ("Edit VM {name}", "编辑虚拟机 {name}"),
    "createVmSnapshot": ("Create VM snapshot {name}", "创建虚拟机快照 {name}"),
    "deleteVmSnapshot": ("Delete VM snapshot {name}", "删除虚拟机快照 {name}"),
}


class RefusedError(Exception):
    """The server does not do what it is asked to; becomes an answer with this status."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, props: object = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.props = props


@dataclass(frozen=True, slots=True)
class World:
    """What a mutation acts on, and who asks for it."""

    maker: Maker
    tasks: TaskEngine
    user: str

    def start(self, mutation: str, resource: str, subject: Document, work: Work) -> str:
        """Start a task about a resource."""
        return self.tasks.start(
            {
                "description": translated(self.maker.store, _TEXTS[mutation], subject["name"]),
                "resource_mutation": mutation,
                "resource_id": subject["id"],
                "resource_type": resource,
                "cluster": subject["cluster"],
                "args": {"where": {"id": subject["id"]}},
                "user": self.user,
            },
            work,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """One item of a mutation's answer.

    Args:
        resource: What it is about; None where the answer holds nothing but the id.
        id: Which one.
        task_id: The task that does it; None when nothing is left to do.
    """

    resource: str | None
    id: str
    task_id: str | None


Effect: TypeAlias = "Callable[[World, dict[str, Any]], list[Outcome]]"


def vms_of(world: World, body: dict[str, Any]) -> list[Document]:
    """The VMs that a mutation is about. Nothing is done when one of them is busy."""
    vms = world.maker.store.select("Vm", member(body, "where", dict[str, Any]))
    if not vms:
        raise RefusedError(404, "no VM matches the where")
    refuse_locked(vms)
    return vms


def start_on_vm(
    world: World, mutation: str, vm: Document, succeed: Callable[[], Failure | None]
) -> str:
    """Start a task that keeps its VM locked until it has ended."""
    vm["entityAsyncStatus"] = "UPDATING"

    def settle() -> None:
        vm["entityAsyncStatus"] = None

    return world.start(mutation, "Vm", vm, Work(succeed, settle=settle))


def refuse_locked(documents: Iterable[Document], owner: str = "id") -> None:
    busy = [document for document in documents if document["entityAsyncStatus"] is not None]
    if busy:
        locked = [{"id": document[owner], "type": "VM"} for document in busy]
        names = ", ".join(document["name"] for document in busy)
        raise RefusedError(
            400,
            f"locked by another task: {names}",
            code="ResourceLocked",
            props={"locked_resources": locked},
        )


def member(body: object, name: str, kind: type[T]) -> T:
    """A required member of a body, of the type that it has to have."""
    if not isinstance(body, dict) or name not in body:
        raise QueryError(f"{name}: required")
    try:
        return msgspec.convert(cast("dict[str, Any]", body)[name], kind)
    except msgspec.ValidationError as exc:
        raise QueryError(f"{name}: {exc}") from None
