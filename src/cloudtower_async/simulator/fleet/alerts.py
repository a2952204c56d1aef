"""Alert rules and alerts, with texts in English and Chinese."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..factory import Factory
    from ..store.filters import Document

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class _Rule:
    """Alert rule with its texts.

    Each text is a pair of an English and a Chinese string. ``{name}`` stands for the name of the
    resource that the alert concerns.
    """

    name: str
    severity: str
    about: str
    message: tuple[str, str]
    cause: tuple[str, str]
    impact: tuple[str, str]
    solution: tuple[str, str]
    threshold: float = 0.0


DISK_FAILED = _Rule(
    "disk_unhealthy",
    "CRITICAL",
    "Disk",
    ("Physical disk {name} is unhealthy.", "物理盘 {name} 不健康。"),
    ("The disk reports errors.", "物理盘报告了错误。"),
    ("Data on the disk may be lost.", "物理盘上的数据可能丢失。"),
    ("Replace the disk.", "请更换物理盘。"),
)
CLUSTER_LOST = _Rule(
    "cluster_disconnected",
    "CRITICAL",
    "Cluster",
    ("Cluster {name} is disconnected.", "集群 {name} 失去连接。"),
    ("The network does not reach the cluster.", "网络无法到达集群。"),
    ("The cluster cannot be managed.", "无法管理集群。"),
    ("Check the network.", "请检查网络。"),
)
_EVERYDAY = (
    _Rule(
        "host_cpu_high",
        "NOTICE",
        "Host",
        ("CPU usage of host {name} is high.", "主机 {name} 的 CPU 使用率过高。"),
        ("The load of the VMs is high.", "虚拟机负载过高。"),
        ("VMs may become slow.", "虚拟机可能变慢。"),
        ("Migrate VMs to other hosts.", "请将虚拟机迁移至其他主机。"),
        80.0,
    ),
    _Rule(
        "vm_tools_stopped",
        "INFO",
        "Vm",
        ("VM tools of {name} are not running.", "虚拟机 {name} 的虚拟机工具未运行。"),
        ("The service was stopped in the guest.", "客户机中的服务已停止。"),
        ("Figures of the guest are missing.", "缺少客户机数据。"),
        ("Start the service in the guest.", "请在客户机中启动服务。"),
    ),
    _Rule(
        "host_fan_failed",
        "CRITICAL",
        "Host",
        ("A fan of host {name} has failed.", "主机 {name} 的风扇故障。"),
        ("The fan does not turn.", "风扇不转。"),
        ("The host may overheat.", "主机可能过热。"),
        ("Replace the fan.", "请更换风扇。"),
    ),
    _Rule(
        "cluster_storage_high",
        "NOTICE",
        "Cluster",
        ("Storage of cluster {name} is filling up.", "集群 {name} 的存储空间不足。"),
        ("The VMs have written much data.", "虚拟机写入了大量数据。"),
        ("New volumes may be refused.", "可能无法创建新卷。"),
        ("Add disks or delete snapshots.", "请添加物理盘或删除快照。"),
        75.0,
    ),
    _Rule(
        "cluster_upgrade_available",
        "INFO",
        "Cluster",
        ("A new version for cluster {name} is available.", "集群 {name} 有新版本可用。"),
        ("A new version was released.", "已发布新版本。"),
        ("None.", "无。"),
        ("Plan an upgrade.", "请安排升级。"),
    ),
)


def add_alert_rules(factory: Factory) -> None:
    """Add the global alert rules, which apply to all clusters."""
    for rule in (DISK_FAILED, CLUSTER_LOST, *_EVERYDAY):
        thresholds = [{"quantile": None, "severity": rule.severity, "value": rule.threshold}]
        factory.store.add(
            "GlobalAlertRule",
            {
                "id": factory.ids.cuid(),
                "name": rule.name,
                "boolean": not rule.threshold,
                "cause": factory.store.add_translation(rule.cause, ""),
                "default_thresholds": thresholds,
                "disabled": False,
                "impact": factory.store.add_translation(rule.impact, ""),
                "message": factory.store.add_translation(rule.message, "{name}"),
                "object": {"Host": "PHYSICAL_HOST"}.get(rule.about, rule.about.upper()),
                "operator": "GT",
                "solution": factory.store.add_translation(rule.solution, ""),
                "thresholds": thresholds,
                "unit": "PERCENT" if rule.threshold else "UNIT_UNSPECIFIED",
            },
        )


def add_cluster_rules(factory: Factory, cluster: Document) -> None:
    """Add alert rules to a cluster: one rule for each global alert rule."""
    for rule in factory.store.table("GlobalAlertRule").values():
        factory.store.add(
            "AlertRule",
            {
                "id": factory.ids.cuid(),
                "local_id": factory.ids.uuid(),
                "cluster": cluster["id"],
                "customized": False,
                "disabled": False,
                "global_alert_rule": rule["id"],
                "thresholds": rule["thresholds"],
            },
        )


def add_alerts(factory: Factory, everyday: int) -> None:
    """Add alerts about failed disks and disconnected clusters, and `everyday` other alerts.

    About a third of the other alerts have ended.
    """
    store = factory.store
    for disk in list(store.table("Disk").values()):
        if not disk["healthy"]:
            _add_alert(factory, DISK_FAILED, disk, ended=False)
    for cluster in list(store.table("Cluster").values()):
        if cluster["connect_state"] != "CONNECTED":
            _add_alert(factory, CLUSTER_LOST, cluster, ended=False)
    for number in range(everyday):
        rule = _EVERYDAY[number % len(_EVERYDAY)]
        if subjects := list(store.table(rule.about).values()):
            subject = factory.random.choice(subjects)
            _add_alert(factory, rule, subject, ended=number >= len(_EVERYDAY) and number % 3 == 0)


def add_alert(factory: Factory, about: str, subject: Document, *, ended: bool) -> Document:
    """Add an alert that concerns `subject`, and return the alert.

    `about` is the resource type of `subject`. The texts of the alert come from the first alert rule
    for this resource type.
    """
    rules = (DISK_FAILED, CLUSTER_LOST, *_EVERYDAY)
    rule = next(rule for rule in rules if rule.about == about)
    return _add_alert(factory, rule, subject, ended=ended)


def alert_times(start: str, end: str = "") -> dict[str, str]:
    """Return the values of all time fields of an alert, from its start and end.

    If the alert has not ended, `end` is empty.
    """
    return {
        "create_time": start,
        "local_create_time": start,
        "local_start_time": start,
        "local_update_time": end or start,
        "local_end_time": end,
    }


def _add_alert(factory: Factory, rule: _Rule, subject: Document, *, ended: bool) -> Document:
    store = factory.store
    host = subject.get("host") if rule.about in {"Disk", "Vm"} else None
    host = subject["id"] if rule.about == "Host" else host
    cluster = subject["id"] if rule.about == "Cluster" else subject.get("cluster")
    if cluster is None:  # a disk has no reference to its cluster
        cluster = store.get("Host", subject["host"])["cluster"]
    seconds = factory.random.uniform(-20 * _DAY, -_DAY)
    start = factory.clock.timestamp(seconds)
    end = factory.clock.timestamp(seconds + factory.random.uniform(60, _DAY)) if ended else ""
    value = min(100.0, rule.threshold + factory.random.randrange(1, 15)) if rule.threshold else 1.0
    rules = (
        one
        for general in store.table("GlobalAlertRule").values()
        for one in general.get("alert_rules") or ()
        if general["name"] == rule.name and store.get("AlertRule", one)["cluster"] == cluster
    )
    return store.add(
        "Alert",
        {
            "id": factory.ids.cuid(),
            "local_id": factory.ids.uuid(),
            "severity": rule.severity,
            "message": store.add_translation(rule.message, subject["name"]),
            "cause": store.add_translation(rule.cause, subject["name"]),
            "impact": store.add_translation(rule.impact, subject["name"]),
            "solution": store.add_translation(rule.solution, subject["name"]),
            "threshold": rule.threshold,
            "value": value,
            "ended": ended,
            **alert_times(start, end),
            "labels": {"about": rule.about},
            "alert_rule": next(rules, None),
            "cluster": cluster,
            "host": host,
            "disk": subject["id"] if rule.about == "Disk" else None,
            "vms": [subject["id"]] if rule.about == "Vm" else [],
        },
    )
