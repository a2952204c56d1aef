"""How tasks are described, by what they do: in en-US and in zh-CN."""

from __future__ import annotations

TEXTS: dict[str, tuple[str, str]] = {
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
