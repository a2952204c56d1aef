r"""Delete VMs by name, with an audit log, approval, a tenant filter and a time-out per operation.

    CLOUDTOWER_ENDPOINT=… CLOUDTOWER_USERNAME=… CLOUDTOWER_PASSWORD=… \
        python examples/middleware.py NAME-OF-THE-TENANT NAME-OF-A-VM…

A VM belongs to a tenant if it has the label ``tenant`` with the tenant's name as its value.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING, TextIO

import anyio.to_thread

from cloudtower_async import EVERYTHING, Cloudtower, CloudtowerError, OperationCall, Proceed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cloudtower_async import Middleware


class NotAllowedError(Exception):
    """The call is not allowed and was not sent."""


def audit(log: TextIO) -> Middleware:
    """Return middleware that writes a line of JSON for each mutation and upload."""

    async def middleware(call: OperationCall, proceed: Proceed) -> object:
        if call.kind == "query":
            return await proceed(call)
        started = time.time()
        error = None
        try:
            return await proceed(call)
        except BaseException as exc:  # a cancelled call may also have been executed
            error = type(exc).__name__
            raise
        finally:
            record = {
                "time": started,
                "seconds": round(time.time() - started, 3),
                "operation": call.operation,
                "arguments": call.redacted_arguments,
                "endpoint": call.endpoint,
                "attempts": call.attempts,
                "outcome": call.outcome,
                "error": error,
                "request_ids": call.request_ids,
            }
            print(json.dumps(record), file=log, flush=True)

    return middleware


def approve(ask: Callable[[str], Awaitable[bool]]) -> Middleware:
    """Return middleware that asks for approval before resources are deleted."""

    async def middleware(call: OperationCall, proceed: Proceed) -> object:
        method = call.operation.rpartition(".")[2]
        destructive = call.kind == "mutation" and method.startswith(("delete_", "move_"))
        if destructive and not await ask(f"{method} {json.dumps(call.redacted_arguments)}"):
            raise NotAllowedError(f"{call.operation}: not approved")
        return await proceed(call)

    return middleware


def restrict_to_tenant(name: str) -> Middleware:
    """Return middleware that restricts calls to the resources of a tenant.

    The middleware adds a filter for the tenant to every `where`. It rejects calls to other
    namespaces, and mutations without `where`, such as creations.
    """
    own_vm = {"labels_some": {"key": "tenant", "value": name}}
    filters = {"vm": own_vm, "vm_disk": {"vm": own_vm}, "vm_snapshot": {"vm": own_vm}}

    async def middleware(call: OperationCall, proceed: Proceed) -> object:
        if call.operation == "task.get_tasks":  # sent by waits, with task ids
            return await proceed(call)
        own = filters.get(call.operation.partition(".")[0])
        arguments = call.arguments  # a dict, or a list of new resources
        if own is None or (call.kind != "query" and "where" not in arguments):
            raise NotAllowedError(f"{call.operation}: not allowed for tenants")
        where = arguments.get("where", EVERYTHING)
        both = own if where == EVERYTHING else {"AND": [where, own]}
        return await proceed(call.replace(arguments={**arguments, "where": both}))

    return middleware


def limit_time(seconds: dict[str, float]) -> Middleware:
    """Return middleware that sets a time-out per operation."""

    async def middleware(call: OperationCall, proceed: Proceed) -> object:
        return await proceed(call.replace(timeout=seconds.get(call.operation, call.timeout)))

    return middleware


async def ask_on_terminal(question: str) -> bool:
    answer = await anyio.to_thread.run_sync(input, f"{question}? [y/N] ")
    return answer.strip().lower() == "y"


async def delete_vms(tower: Cloudtower, names: list[str]) -> list[str]:
    """Delete the tenant's VMs with these names, and return the names of the deleted VMs."""
    vms = await tower.vm.get_vms(where={"name_in": names})
    if vms:
        await tower.wait(await tower.vm.delete_vm(where={"id_in": [vm.id for vm in vms]}))
    return sorted(vm.name for vm in vms)


async def main(tenant: str, names: list[str]) -> None:
    # The audit log is the outermost middleware, so that it also records calls that the other
    # middleware rejects.
    middleware = [
        audit(sys.stderr),
        approve(ask_on_terminal),
        restrict_to_tenant(tenant),
        limit_time({"vm.delete_vm": 300}),
    ]
    async with Cloudtower.from_env(middleware=middleware) as tower:
        print("deleted:", *await delete_vms(tower, names))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        asyncio.run(main(sys.argv[1], sys.argv[2:]))
    except (CloudtowerError, NotAllowedError) as error:
        sys.exit(str(error))
