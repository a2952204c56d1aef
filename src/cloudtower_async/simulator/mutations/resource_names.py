"""Names of resource types for task descriptions and errors, in English and Chinese."""

from __future__ import annotations

import re

_CHINESE = {
    "Alert": "报警",
    "AlertNotifier": "报警通知",
    "BackupPlan": "备份计划",
    "BackupRestorePoint": "备份恢复点",
    "BrickTopo": "机箱拓扑",
    "CloudTowerApplication": "应用",
    "CloudTowerApplicationPackage": "应用安装包",
    "Cluster": "集群",
    "ClusterSettings": "集群设置",
    "ConsistencyGroup": "一致性组",
    "ConsistencyGroupSnapshot": "一致性组快照",
    "ContentLibraryImage": "内容库 ISO 映像",
    "ContentLibraryVmTemplate": "内容库虚拟机模板",
    "Datacenter": "数据中心",
    "Disk": "物理盘",
    "ElfImage": "ISO 映像",
    "EntityFilter": "筛选规则",
    "GlobalAlertRule": "报警规则",
    "GlobalSettings": "全局设置",
    "GpuDevice": "GPU 设备",
    "Graph": "图表",
    "Host": "主机",
    "IscsiLun": "iSCSI LUN",
    "IscsiLunSnapshot": "iSCSI LUN 快照",
    "IscsiTarget": "iSCSI Target",
    "IsolationPolicy": "隔离策略",
    "Label": "标签",
    "LogCollection": "日志",
    "NamespaceGroup": "Namespace 组",
    "NetworkPolicyRuleService": "网络服务",
    "NfsExport": "NFS Export",
    "NfsInode": "NFS 文件",
    "Nic": "网口",
    "NodeTopo": "节点拓扑",
    "NvmfNamespace": "NVMe Namespace",
    "NvmfNamespaceSnapshot": "NVMe Namespace 快照",
    "NvmfSubsystem": "NVMe Subsystem",
    "Organization": "组织",
    "RackTopo": "机架拓扑",
    "ReportTask": "报表任务",
    "ReportTemplate": "报表模板",
    "SecurityGroup": "安全组",
    "SecurityPolicy": "安全策略",
    "SnapshotGroup": "快照组",
    "SnapshotPlan": "快照计划",
    "SnmpTransport": "SNMP 传输",
    "SnmpTrapReceiver": "SNMP Trap 接收端",
    "Task": "任务",
    "UsbDevice": "USB 设备",
    "User": "用户",
    "UserAuditLog": "用户审计日志",
    "UserRoleNext": "角色",
    "VcenterAccount": "vCenter 账号",
    "Vds": "虚拟分布式交换机",
    "View": "视图",
    "VirtualPrivateCloud": "虚拟私有云",
    "VirtualPrivateCloudFloatingIp": "浮动 IP",
    "VirtualPrivateCloudNatGateway": "NAT 网关",
    "VirtualPrivateCloudRouteTable": "路由表",
    "VirtualPrivateCloudRouterGateway": "路由器网关",
    "VirtualPrivateCloudSecurityGroup": "VPC 安全组",
    "VirtualPrivateCloudSecurityPolicy": "VPC 安全策略",
    "VirtualPrivateCloudSubnet": "子网",
    "Vlan": "虚拟机网络",
    "VmFolder": "虚拟机组",
    "VmPlacementGroup": "虚拟机放置组",
    "VmTemplate": "虚拟机模板",
    "VmVolume": "虚拟卷",
    "VmVolumeSnapshot": "虚拟卷快照",
    "VsphereEsxiAccount": "ESXi 账号",
}
_ENGLISH = {
    "IscsiLun": "iSCSI LUN",
    "IscsiLunSnapshot": "iSCSI LUN snapshot",
    "IscsiTarget": "iSCSI target",
    "UserRoleNext": "role",
    "Vds": "virtual distributed switch",
    "Vlan": "VM network",
}
_VERBS = {
    "create": ("Create", "创建"),
    "update": ("Edit", "编辑"),
    "delete": ("Delete", "删除"),
    "add": ("Add to", "添加至"),
    "batch": ("Create", "创建"),
    "clone": ("Clone", "克隆"),
    "copy": ("Copy", "复制"),
    "distribute": ("Distribute", "分发"),
    "force": ("Force stop", "强制停止"),
    "generate": ("Generate", "生成"),
    "keep": ("Keep", "保留"),
    "mount": ("Mount", "挂载"),
    "move": ("Move", "移动"),
    "rebuild": ("Rebuild", "重建"),
    "remove": ("Remove from", "移除自"),
    "resolve": ("Resolve", "解决"),
    "resume": ("Resume", "恢复"),
    "rollback": ("Roll back", "回滚"),
    "suspend": ("Suspend", "暂停"),
    "switch": ("Switch SR-IOV of", "切换 SR-IOV 状态"),
    "trigger": ("Blink a disk of", "定位磁盘"),
    "unmount": ("Unmount", "卸载"),
}
_WORD = re.compile(r"[A-Z][a-z]+")
_ACRONYMS = {"vm": "VM", "nfs": "NFS", "nvmf": "NVMe", "gpu": "GPU", "usb": "USB", "elf": "ELF"}


def texts(verb: str, resource: str) -> tuple[str, str]:
    """Return the English and the Chinese description of a task.

    Each text contains the placeholder ``{name}`` for the name of the resource.
    """
    english, chinese = _VERBS[verb]
    return f"{english} {noun(resource)} {{name}}", f"{chinese}{_CHINESE[resource]} {{name}}"


def noun(resource: str) -> str:
    """Return the name of a resource type as English words: ``virtual private cloud``."""
    words = [found[0].lower() for found in _WORD.finditer(resource)]
    return _ENGLISH.get(resource) or " ".join(_ACRONYMS.get(word, word) for word in words)


def title(document: dict[str, object]) -> str:
    """Return a text that identifies a document, such as its name."""
    if "key" in document:  # labels have a key and a value but no name
        return f"{document['key']}:{document.get('value') or ''}".removesuffix(":")
    for field in ("name", "title", "username", "description", "message", "local_id"):
        if isinstance(found := document.get(field), str) and found:
            return found
    return str(document["id"])
