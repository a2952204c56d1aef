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
    """Context of a mutation: the state that the mutation changes, and the id of the user."""

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
        """Start a task that changes a resource, and return the id of the task.

        Args:
            mutation: Name of the mutation on the server, as in ``resource_mutation`` of the task.
            resource: Resource type of `subject`.
            subject: Resource that the task changes.
            work: Effects of the task when it ends.
            locks: Documents that are locked until the task has ended.
            status: ``entityAsyncStatus`` of the locked documents while the task runs. A document
                that already has a status keeps its own status.
            texts: Description of the task in English and Chinese. By default, the description of
                the mutation.
            args: Additional members for ``args`` of the task.
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
        # Lock the documents last. If an earlier step raised, the locks would never be released.
        for document in locks:
            document["entityAsyncStatus"] = document["entityAsyncStatus"] or status
        return task


@dataclass(frozen=True, slots=True)
class Result:
    """Item in the response to a mutation: the id of a task and the changed resource.

    Args:
        resource: Resource type. With None, only the id of the resource is shown.
        id: Id of the resource, or a tuple of ids if one task changes several resources.
        task_id: Id of the task, or None if the work is already done.
    """

    resource: str | None
    id: str | tuple[str, ...]
    task_id: str | None


@dataclass(frozen=True, slots=True)
class PlainResult:
    """Item in the response to a mutation: a resource without a task.

    Args:
        resource: Resource type. With None, the item contains only the id of the resource.
        id: Id of the resource.
    """

    resource: str | None
    id: str


Item: TypeAlias = "Result | PlainResult | dict[str, Any]"

Results: TypeAlias = "Item | list[Result] | list[PlainResult] | list[dict[str, Any]]"
"""Result of a mutation. If the result is a dict, the response contains the dict unchanged."""

Handler: TypeAlias = "Callable[[Context, Any], Results]"
"""Handler of a mutation: a function of the context and the body, which is an object or a list."""


def select_vms(context: Context, body: Body, *, recycled: bool = False) -> list[Document]:
    """Return the VMs that match the filter of a mutation.

    Args:
        context: Context of the mutation.
        body: Body with the filter, in its member ``where``.
        recycled: Whether the VMs may be in the recycle bin.

    Raises:
        NoMatchError: No VM matches.
        HttpError: A VM is locked, or a VM is in the recycle bin although `recycled` is False.
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
    """Start a task that changes a VM, and return the id of the task. The task locks the VM."""
    return context.start(mutation, "Vm", vm, Work(succeed), locks=[vm])


def reject_locked(
    context: Context, documents: Iterable[Document], resource: str = "Vm", *, owner: str = "id"
) -> None:
    """Reject the request if another task has locked one of the documents.

    Servers before 3.3.0 have no locks. With such a version, no request is rejected.

    Args:
        context: Context with the server version.
        documents: Documents that must not be locked.
        resource: Resource type of the documents.
        owner: Field that contains the id for the error message. By default, the message contains
            the id of the document. For a snapshot, ``"vm"`` stands for the id of its VM.

    Raises:
        HttpError: A document is locked.
    """
    # Errors of real servers contain only these two types.
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
