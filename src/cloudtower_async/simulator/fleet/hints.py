"""What is known of resources that are made up generically, in the order in which they are."""

from __future__ import annotations

from .generic import Hint

_GIB = 2**30
_ELF = ("hypervisor", "ELF")
_VMWARE = ("hypervisor", "VMWARE")
_STRETCHED = ("stretch", True)
_EXTERNAL = ("internal", False)

_IMAGES = ({"name": "rocky-9.iso"}, {"name": "debian-12.iso"}, {"name": "virtio-win.iso"})

_PLACES = (
    Hint("Organization", values={"name": "Example"}),
    Hint("Datacenter", "Organization", rows=({"name": "East"},), many={"clusters": 0}),
    Hint("ClusterSettings", "Cluster", values={"vm_recycle_bin": {"enabled": True, "retain": 30}}),
    Hint("GlobalSettings", values={"vm_recycle_bin": {"enabled": True, "retain": 30}}),
    Hint("Witness", "Cluster", only=_STRETCHED, values={"name": "witness"}),
    Hint(
        "Zone",
        "Cluster",
        2,
        only=_STRETCHED,
        rows=({"is_preferred": True}, {"is_preferred": False}),
        many={"hosts": -1},
    ),
    Hint("VcenterAccount", "Cluster", only=_VMWARE),
    Hint("VsphereEsxiAccount", "Host", only=_VMWARE),
    Hint("ClusterTopo", "Cluster", values={"name": "{home}"}),
    Hint("ZoneTopo", "ClusterTopo"),
    Hint("RackTopo", "ZoneTopo", values={"name": "rack-{n}", "height": 42}),
    Hint("BrickTopo", "Host", values={"name": "{home}", "height": 2}),
    Hint("NodeTopo", "Host", values={"name": "{home}"}),
)

_HARDWARE = (
    Hint("Ipmi", "Host"),
    Hint(
        "Nic",
        "Host",
        4,
        rows=tuple(
            {"name": f"ens{place + 1}", "type": kind} | ({"vds": None} if place else {})
            for place, kind in enumerate(("VM", "MANAGEMENT", "STORAGE", "ACCESS"))
        ),
        values={"physical": True, "running": True, "up": True, "is_sriov": False},
    ),
    Hint("DiskPool", "Host", many={"disks": 0}),
    Hint("PmemDimm", "Host", most=1, values={"name": "DIMM-1"}),
    Hint("GpuDevice", "Host", most=2, only=_ELF, values={"user_usage": "PASS_THROUGH"}),
    Hint("UsbDevice", "Host", most=2, only=_ELF, values={"name": "USB stick {n}"}),
    Hint("PciDevice", "Host", most=2, only=_ELF),
)

_STORAGE = (
    Hint(
        "IscsiTarget",
        "Cluster",
        values={"name": "{home}-target", "internal": False, "external_use": True},
    ),
    Hint("IscsiLun", "IscsiTarget", 3, only=_EXTERNAL, values={"name": "{home}-lun-{n}"}),
    Hint("NfsExport", "Cluster", values={"name": "{home}-export"}),
    Hint("NfsInode", "NfsExport", 2, values={"name": "file-{n}", "file": True}),
    Hint("NvmfSubsystem", "Cluster", values={"name": "{home}-subsystem"}),
    Hint("NvmfNamespace", "NvmfSubsystem", 2, values={"name": "{home}-namespace-{n}"}),
    Hint("NamespaceGroup", "NvmfSubsystem", many={"namespaces": 0}),
    Hint("ElfDataStore", "Cluster", without=("nfs_export", "nvmf_subsystem")),
    Hint("IscsiConnection", "Cluster", 2, without=("nvmf_subsystem",)),
    Hint(
        "BusinessHostGroup",
        "Cluster",
        many={"iscsi_luns": 1},
        values={"name": "{home}-group"},
    ),
    Hint("BusinessHost", "Cluster", 2, values={"name": "{home}-client-{n}", "initiators": []}),
    Hint(
        "ConsistencyGroup",
        "Cluster",
        many={"iscsi_luns": 2, "namespaces": 1},
        values={"name": "{home}-consistent"},
    ),
    Hint("ConsistencyGroupSnapshot", "ConsistencyGroup", values={"name": "{home}-snapshot"}),
    Hint(
        "IscsiLunSnapshot",
        "IscsiTarget",
        only=_EXTERNAL,
        values={"name": "{home}-snapshot-{n}"},
        without=("snapshot_group",),
    ),
    Hint("NvmfNamespaceSnapshot", "NvmfSubsystem", without=("snapshot_group",)),
)

_GUESTS = (
    Hint("VmFolder", "Cluster", 2, values={"name": "folder-{n}"}, many={"vms": 5}),
    Hint(
        "VmPlacementGroup",
        "Cluster",
        2,
        rows=(
            {"name": "{home}-apart", "vm_vm_policy": "MUST_DIFFERENT"},
            {"name": "{home}-together", "vm_vm_policy": "PREFER_SAME"},
        ),
        values={"vm_host_must_enabled": False, "vm_host_prefer_enabled": False},
        many={"vms": 2},
    ),
    Hint("VmVolumeSnapshot", "Cluster", values={"name": "{home}-volume-snapshot"}),
    Hint("SnapshotPlan", "Cluster", values={"name": "{home}-nightly"}, many={"vms": 3}),
    Hint("SnapshotPlanTask", "SnapshotPlan", 2, values={"type": "TASK_TYPE_PROTECT"}),
    Hint("SnapshotGroup", "SnapshotPlanTask", values={"vm_info": []}, many={"vm_snapshots": 1}),
    Hint("EntityFilter", values={"name": "idle VMs", "preset": None}),
    Hint("VmEntityFilterResult", "EntityFilter", 2),
    Hint("VmExportFile", most=1, without=("content_library_vm_template", "vm_volume")),
)

_CONTENT = (
    Hint(
        "ContentLibraryImage",
        "",
        3,
        rows=_IMAGES,
        values={"size": 2 * _GIB},
        many={"clusters": 0},
    ),
    Hint("ElfImage", "Cluster", 3, rows=_IMAGES, values={"size": 2 * _GIB}),
    Hint("SvtImage", "Cluster", values={"name": "vmtools-4.1.0.iso"}),
    Hint("ClusterImage", "Cluster"),
    Hint(
        "UploadTask",
        values={
            "status": "SUCCESSED",
            "resource_type": "CONTENT_LIBRARY_IMAGE",
            "size": 2 * _GIB,
            "current_chunk": 256,
        },
    ),
)

_MONITORING = (
    Hint("SmtpServer", values={"host": "mail.example", "port": 25}),
    Hint("AlertNotifier", values={"notice_severities": ["CRITICAL"]}, many={"clusters": 0}),
    Hint("SnmpTransport", "Cluster", values={"port": 161, "protocol": "UDP"}),
    Hint("SnmpTrapReceiver", "Cluster", values={"port": 162, "protocol": "UDP"}),
    Hint("View", "Cluster", values={"name": "{home}-overview"}),
    Hint(
        "Graph",
        "View",
        2,
        rows=(
            {"title": "CPU", "metric_name": "host_cpu_overall_usage_percent"},
            {"title": "Memory", "metric_name": "host_memory_usage_percent"},
        ),
        values={"resource_type": "Host", "metric_type": "NORMAL", "metric_count": 1},
        many={"hosts": 0},
    ),
    Hint(
        "LogCollection",
        "Cluster",
        values={"size": _GIB},
        many={"hosts": 0},
        without=("witness",),
    ),
    Hint("ClusterUpgradeHistory", "Cluster", values={"version": "6.2.0", "result": "success"}),
    Hint("Application", "Cluster", values={"version": "2.0.0"}, without=("vm",)),
    Hint("SystemAuditLog", "Cluster", values={"action": "LOGIN", "message": "A user logged in."}),
    Hint("UserAuditLog", "User", values={"action": "login", "message": "The user logged in."}),
    Hint("ReportTemplate", values={"name": "VMs", "execute_plan": [], "resource_meta": []}),
    Hint("ReportTask", "ReportTemplate", 2),
)

_LICENSES = (
    Hint("License"),
    Hint("Deploy", values={"version": "4.9.0"}),
    Hint("EcpLicense", "Cluster", only=_ELF),
    Hint("EverouteLicense"),
    Hint(
        "V2EverouteLicense",
        "",
        3,
        rows=({"feature_type": "DFW"}, {"feature_type": "LB"}, {"feature_type": "VPC"}),
    ),
    Hint("EveroutePackage", values={"package_info": {}}),
    Hint("CloudTowerApplicationPackage", values={"name": "backup"}),
    Hint(
        "CloudTowerApplication",
        "",
        3,
        rows=({"name": "backup"}, {"name": "replication"}, {"name": "registry"}),
    ),
    Hint("RegistryService", values={"usage": "USER"}),
)

_SECURITY = (
    Hint(
        "EverouteCluster",
        values={"controller_instances": []},
        many={"agent_elf_clusters": 0, "agent_elf_vdses": 0},
        without=("load_balancer_service", "vpc_service"),
    ),
    Hint("NetworkPolicyRuleService", "", 2, values={"members": [], "preset": False}),
    Hint("IsolationPolicy", values={"mode": "ALL"}, without=("statistics",)),
    Hint("SecurityGroup", values={"label_groups": []}, many={"vms": 2}),
    Hint(
        "SecurityPolicy",
        "",
        2,
        values={"apply_to": [], "ingress": [], "egress": []},
        without=("statistics",),
    ),
    Hint(
        "VirtualPrivateCloudService",
        values={"internal_cidr": "10.255.0.0/16", "tep_ip_pools": []},
    ),
    Hint("VirtualPrivateCloudClusterBinding", "Cluster", only=_ELF),
    Hint("VirtualPrivateCloudEdgeGatewayGroup"),
    Hint("VirtualPrivateCloudEdgeGateway", "VirtualPrivateCloudEdgeGatewayGroup", 2),
    Hint("VirtualPrivateCloud", "", 2, rows=({"name": "blue"}, {"name": "green"})),
    Hint("VirtualPrivateCloudRouteTable", "VirtualPrivateCloud", values={"default_for_vpc": True}),
    Hint("VirtualPrivateCloudSubnet", "VirtualPrivateCloud", 2),
    # Clients that are older than groups of subnets want a subnet wherever there may be either.
    Hint("VirtualPrivateCloudExternalSubnet", "VirtualPrivateCloud", values={"exclusive": True}),
    Hint("VirtualPrivateCloudExternalSubnetGroup", without=("vpc",)),
    *(
        Hint(kind, "VirtualPrivateCloud", without=("external_subnet_group",))
        for kind in (
            "VirtualPrivateCloudFloatingIp",
            "VirtualPrivateCloudNatGateway",
            "VirtualPrivateCloudRouterGateway",
        )
    ),
    Hint("VirtualPrivateCloudSecurityGroup", "VirtualPrivateCloud", values={"label_groups": []}),
    Hint(
        "VirtualPrivateCloudSecurityPolicy",
        "VirtualPrivateCloud",
        values={"apply_to": [], "ingress": [], "egress": []},
    ),
)

_PROTECTION = (
    Hint("BackupService", many={"backup_clusters": 0}, without=("running_vm",)),
    Hint("BackupStoreRepository", "BackupService", values={"type": "NFS3"}),
    Hint("BackupPlan", "BackupService", 2, values={"name": "backup-{n}"}, many={"vms": 3}),
    Hint("BackupPlanExecution", "BackupPlan", 2),
    Hint("BackupTargetExecution", "BackupPlanExecution", without=("backup_restore_point",)),
    Hint("BackupRestorePoint", "BackupTargetExecution"),
    Hint("BackupRestoreExecution", most=1, values={"mode": "REBUILD"}),
    Hint("ReplicationService", many={"replication_clusters": 0}),
    Hint(
        "ReplicationPlan",
        "ReplicationService",
        many={"vms": 2},
        without=("external_cloudtower",),
    ),
    Hint(
        "SyncReplicationPlan",
        "ReplicationService",
        many={"vms": 1},
        without=("external_cloudtower",),
    ),
    Hint(
        "ReplicaVm",
        "ReplicationPlan",
        2,
        without=(
            *("external_cloudtower", "failover_test_vm", "sync_replication_plan", "vm"),
            *("iscsi_lun", "origin_iscsi_lun"),
        ),
    ),
)

_LABELS = (
    Hint(
        "Label",
        "",
        5,
        rows=(
            {"key": "stage", "value": "production"},
            {"key": "stage", "value": "test"},
            {"key": "team", "value": "shop"},
            {"key": "team", "value": "warehouse"},
            {"key": "critical", "value": None},
        ),
        many={"vms": 4, "hosts": 1},
    ),
)

HINTS: tuple[Hint, ...] = (
    *_PLACES,
    *_HARDWARE,
    *_STORAGE,
    *_GUESTS,
    *_CONTENT,
    *_MONITORING,
    *_LICENSES,
    *_SECURITY,
    *_PROTECTION,
    *_LABELS,
)
"""Every resource that has no maker of its own."""
