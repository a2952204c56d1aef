"""Context and results of mutations, selection of VMs, and resource locks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from ..http_errors import HttpError, NoMatchError, require_member
from ..tasks import Work
from .task_descriptions import TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..accounts import Accounts
    from ..factory import Factory
    from ..store.filters import Document
    from ..store.store import Store
    from ..tasks import Failure, TaskEngine
    from .body import Body


@dataclass(frozen=True, slots=True)
class Context:
    """Context of a mutation: the state that the mutation changes, and the user of the request."""

    factory: Factory
    tasks: TaskEngine
    user: str
    accounts: Accounts

    @property
    def store(self) -> Store:
        """The store that the mutation changes."""
        return self.factory.store

    def start(
        self,
        mutation: str,
        resource: str,
        subject: Document,
        work: Work,
        *,
        locks: Sequence[Document] = (),
        status: str = "UPDATING",
        texts: tuple[str, str] | None = None,
        **args: object,
    ) -> str:
        """Start a task about a resource, and return the id of the task.

        Args:
            mutation: Name of the mutation on the server.
            resource: Resource type.
            subject: Resource of the task.
            work: Effects at the end of the task.
            locks: Documents that are locked until the task has ended.
            status: ``entityAsyncStatus`` of the resource while the task runs; new resources have
                their status already.
            texts: Description of the task in both languages; default: the description of the
                mutation.
            args: Additional ``args`` of the task.
        """
        described = texts or TEXTS[mutation]

        def settle() -> None:
            for document in locks:
                document["entityAsyncStatus"] = None

        task = self.tasks.start(
            {
                "description": self.factory.store.add_translation(described, subject["name"]),
                "resource_mutation": mutation,
                "resource_id": subject["id"],
                "resource_type": resource,
                "cluster": subject.get("cluster"),
                "args": {"where": {"id": subject["id"]}, **args},
                "user": self.user,
            },
            replace(work, settle=settle),
        )
        # Lock only now: no later step can fail, so every lock will be released.
        for document in locks:
            document["entityAsyncStatus"] = document["entityAsyncStatus"] or status
        return task


@dataclass(frozen=True, slots=True)
class Result:
    """Item in the answer of a mutation.

    Args:
        resource: Resource type; None if the answer holds only the id.
        id: Id of the resource; several ids if one task changes all of them.
        task_id: Id of the task; None if the work is already done.
    """

    resource: str | None
    id: str | tuple[str, ...]
    task_id: str | None


@dataclass(frozen=True, slots=True)
class PlainResult:
    """Item of an answer that is a document without a task."""

    resource: str | None
    id: str


Item: TypeAlias = "Result | PlainResult | dict[str, Any]"

Results: TypeAlias = "Item | list[Result] | list[PlainResult] | list[dict[str, Any]]"
"""Answer of a mutation; a dict is used unchanged as the answer or as an item."""

Handler: TypeAlias = "Callable[[Context, Any], Results]"
"""Handler of a mutation; takes the body, an object or a list."""


def select_vms(context: Context, body: Body, *, recycled: bool = False) -> list[Document]:
    """Return the VMs that a mutation changes; raise HttpError if a VM is locked.

    Args:
        context: Context with the VMs.
        body: Body with the filter.
        recycled: Whether the VMs may be in the recycle bin.
    """
    vms = context.store.select("Vm", require_member(body, "where", dict[str, Any]))
    if not vms:
        raise NoMatchError("no VM matches the filter")
    reject_locked(context, vms)
    for vm in vms:
        if vm["in_recycle_bin"] and not recycled:
            raise HttpError(400, f"VM {vm['name']} is in the recycle bin")
    return vms


def start_vm_task(
    context: Context, mutation: str, vm: Document, succeed: Callable[[], Failure | None]
) -> str:
    """Start a task that locks its VM until the task has ended, and return the task's id."""
    return context.start(mutation, "Vm", vm, Work(succeed), locks=[vm])


def reject_locked(
    context: Context, documents: Iterable[Document], resource: str = "Vm", *, owner: str = "id"
) -> None:
    """Refuse documents that another task has locked, unless the server is too old for locks.

    Args:
        context: Context with the server version.
        documents: Documents that must not be locked.
        resource: Resource type of the documents.
        owner: Field with the id of the resource that the error names as locked.
    """
    # The errors of real servers contain only these two types.
    kind = "VM_VOLUME" if resource == "VmVolume" else "VM"
    busy = [document for document in documents if document["entityAsyncStatus"] is not None]
    if busy and context.factory.behavior.locks:
        locked = [{"id": document[owner], "type": kind} for document in busy]
        names = ", ".join(f"{one['type']}-{one['id']}" for one in locked)
        raise HttpError(
            400,
            f"Resource [{names}] locked",
            code="ResourceLocked",
            props={"locked_resources": locked},
        )
