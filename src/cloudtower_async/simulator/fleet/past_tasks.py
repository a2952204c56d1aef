"""Tasks that ended before the server started."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..factory import Factory
    from ..store.filters import Document

_DAY = 86_400
_OLD_TASKS = (
    ("startVm", "Start VM {name}", "开启虚拟机 {name}"),
    ("updateVm", "Edit VM {name}", "编辑虚拟机 {name}"),
    ("createVmSnapshot", "Create snapshot of VM {name}", "创建虚拟机 {name} 的快照"),
    ("shutDownVm", "Shut down VM {name}", "关闭虚拟机 {name}"),
)


def add_old_tasks(factory: Factory, number: int, user: Document) -> None:
    """Add tasks that ended before the server started. Every eighth task has failed."""
    vms = list(factory.store.table("Vm").values())
    for place in range(number if vms else 0):
        vm = factory.random.choice(vms)
        mutation, english, chinese = _OLD_TASKS[place % len(_OLD_TASKS)]
        description = factory.store.add_translation((english, chinese), vm["name"])
        seconds = factory.random.uniform(-300 * _DAY, -_DAY)
        failed = place % 8 == 7
        factory.store.add(
            "Task",
            {
                "id": factory.ids.cuid(),
                "args": {"where": {"id": vm["id"]}},
                "cluster": vm["cluster"],
                "description": description,
                "error_code": "VM_OPERATION_TIMEOUT" if failed else None,
                "error_message": f"{description} failed" if failed else None,
                "internal": False,
                "local_created_at": factory.clock.timestamp(seconds),
                "started_at": factory.clock.timestamp(seconds + 1),
                "finished_at": factory.clock.timestamp(seconds + factory.random.uniform(2, 60)),
                "progress": 0.5 if failed else 1.0,
                "resource_id": vm["id"],
                "resource_mutation": mutation,
                "resource_type": "Vm",
                "snapshot": "{}",
                "status": "FAILED" if failed else "SUCCESSED",
                "steps": [],
                "user": user["id"],
            },
        )
