"""Specifications of generated resources, in the order of their creation."""

from __future__ import annotations

from .resource_generator import Spec

_GIB = 2**30
_ELF = ("hypervisor", "ELF")
_VMWARE = ("hypervisor", "VMWARE")
_STRETCHED = ("stretch", True)
_EXTERNAL = ("internal", False)

_IMAGES = ({"name": "rocky-9.iso"}, {"name": "debian-12.iso"}, {"name": "virtio-win.iso"})

_PLACES = (
    Spec("Organization", values={"name": "Example"}),
    Spec("Datacenter", "Organization", rows=({"name": "East"},), many={"clusters": 0}),
    Spec("ClusterSettings", "Cluster", values={"vm_recycle_bin": {"enabled": True, "retain": 30}}),
    Spec("GlobalSettings", values={"vm_recycle_bin": {"enabled": True, "retain": 30}}),
    Spec("Witness", "Cluster", only=_STRETCHED, values={"name": "witness"}),
    Spec(
        "Zone",
        "Cluster",
        2,
        only=_STRETCHED,
        rows=({"is_preferred": True}, {"is_preferred": False}),
        many={"hosts": -1},
    ),
    Spec("VcenterAccount", "Cluster", only=_VMWARE),
    Spec("VsphereEsxiAccount", "Host", only=_VMWARE),
    Spec("ClusterTopo", "Cluster", values={"name": "{home}"}),
    Spec("ZoneTopo", "ClusterTopo"),
    Spec("RackTopo", "ZoneTopo", values={"name": "rack-{n}", "height": 42}),
    Spec("BrickTopo", "Host", values={"name": "{home}", "height": 2}),
    Spec("NodeTopo", "Host", values={"name": "{home}"}),
)

_HARDWARE = (
    Spec("Ipmi", "Host"),
    Spec(
        "Nic",
        "Host",
        4,
        rows=tuple(
            {"name": f"ens{place + 1}", "type": kind} | ({"vds": None} if place else {})
            for place, kind in enumerate(("VM", "MANAGEMENT", "STORAGE", "ACCESS"))
        ),
        values={"physical": True, "running": True, "up": True, "is_sriov": False},
    ),
    Spec("DiskPool", "Host", many={"disks": 0}),
    Spec("PmemDimm", "Host", most=1, values={"name": "DIMM-1"}),
    Spec("GpuDevice", "Host", most=2, only=_ELF, values={"user_usage": "PASS_THROUGH"}),
    Spec("UsbDevice", "Host", most=2, only=_ELF, values={"name": "USB stick {n}"}),
    Spec("PciDevice", "Host", most=2, only=_ELF),
)

_STORAGE = (
    Spec(
        "IscsiTarget",
        "Cluster",
        values={"name": "{home}-target", "internal": False, "external_use": True},
    ),
    Spec("IscsiLun", "IscsiTarget", 3, only=_EXTERNAL, values={"name": "{home}-lun-{n}"}),
    Spec("NfsExport", "Cluster", values={"name": "{home}-export"}),
    Spec("NfsInode", "NfsExport", 2, values={"name": "file-{n}", "file": True}),
    Spec("NvmfSubsystem", "Cluster", values={"name": "{home}-subsystem"}),
    Spec("NvmfNamespace", "NvmfSubsystem", 2, values={"name": "{home}-namespace-{n}"}),
    Spec("NamespaceGroup", "NvmfSubsystem", many={"namespaces": 0}),
    Spec("ElfDataStore", "Cluster", without=("nfs_export", "nvmf_subsystem")),
    Spec("IscsiConnection", "Cluster", 2, without=("nvmf_subsystem",)),
    Spec(
        "BusinessHostGroup",
        "Cluster",
        many={"iscsi_luns": 1},
        values={"name": "{home}-group"},
    ),
    Spec("BusinessHost", "Cluster", 2, values={"name": "{home}-client-{n}", "initiators": []}),
    Spec(
        "ConsistencyGroup",
        "Cluster",
        many={"iscsi_luns": 2, "namespaces": 1},
        values={"name": "{home}-consistent"},
    ),
    Spec("ConsistencyGroupSnapshot", "ConsistencyGroup", values={"name": "{home}-snapshot"}),
    Spec(
        "IscsiLunSnapshot",
        "IscsiTarget",
        only=_EXTERNAL,
        values={"name": "{home}-snapshot-{n}"},
        without=("snapshot_group",),
    ),
    Spec("NvmfNamespaceSnapshot", "NvmfSubsystem", without=("snapshot_group",)),
)

_GUESTS = (
    Spec("VmFolder", "Cluster", 2, values={"name": "folder-{n}"}, many={"vms": 5}),
    Spec(
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
    Spec("VmVolumeSnapshot", "Cluster", values={"name": "{home}-volume-snapshot"}),
    Spec("SnapshotPlan", "Cluster", values={"name": "{home}-nightly"}, many={"vms": 3}),
    Spec("SnapshotPlanTask", "SnapshotPlan", 2, values={"type": "TASK_TYPE_PROTECT"}),
    Spec("SnapshotGroup", "SnapshotPlanTask", values={"vm_info": []}, many={"vm_snapshots": 1}),
    Spec("EntityFilter", values={"name": "idle VMs", "preset": None}),
    Spec("VmEntityFilterResult", "EntityFilter", 2),
    Spec("VmExportFile", most=1, without=("content_library_vm_template", "vm_volume")),
)

_CONTENT = (
    Spec(
        "ContentLibraryImage",
        "",
        3,
        rows=_IMAGES,
        values={"size": 2 * _GIB},
        many={"clusters": 0},
    ),
    Spec("ElfImage", "Cluster", 3, rows=_IMAGES, values={"size": 2 * _GIB}),
    Spec("SvtImage", "Cluster", values={"name": "vmtools-4.1.0.iso"}),
    Spec("ClusterImage", "Cluster"),
    Spec(
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
    Spec("SmtpServer", values={"host": "mail.example", "port": 25}),
    Spec("AlertNotifier", values={"notice_severities": ["CRITICAL"]}, many={"clusters": 0}),
    Spec("SnmpTransport", "Cluster", values={"port": 161, "protocol": "UDP"}),
    Spec("SnmpTrapReceiver", "Cluster", values={"port": 162, "protocol": "UDP"}),
    Spec("View", "Cluster", values={"name": "{home}-overview"}),
    Spec(
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
    Spec(
        "LogCollection",
        "Cluster",
        values={"size": _GIB},
        many={"hosts": 0},
        without=("witness",),
    ),
    Spec("ClusterUpgradeHistory", "Cluster", values={"version": "6.2.0", "result": "success"}),
    Spec("Application", "Cluster", values={"version": "2.0.0"}, without=("vm",)),
    Spec("SystemAuditLog", "Cluster", values={"action": "LOGIN", "message": "A user logged in."}),
    Spec("UserAuditLog", "User", values={"action": "login", "message": "The user logged in."}),
    Spec("ReportTemplate", values={"name": "VMs", "execute_plan": [], "resource_meta": []}),
    Spec("ReportTask", "ReportTemplate", 2),
)

_LICENSES = (
    Spec("License"),
    Spec("Deploy", values={"version": "4.9.0"}),
    Spec("EcpLicense", "Cluster", only=_ELF),
    Spec("EverouteLicense"),
    Spec(
        "V2EverouteLicense",
        "",
        3,
        rows=({"feature_type": "DFW"}, {"feature_type": "LB"}, {"feature_type": "VPC"}),
    ),
    Spec("EveroutePackage", values={"package_info": {}}),
    Spec("CloudTowerApplicationPackage", values={"name": "backup"}),
    Spec(
        "CloudTowerApplication",
        "",
        3,
        rows=({"name": "backup"}, {"name": "replication"}, {"name": "registry"}),
    ),
    Spec("RegistryService", values={"usage": "USER"}),
)

_SECURITY = (
    Spec(
        "EverouteCluster",
        values={"controller_instances": []},
        many={"agent_elf_clusters": 0, "agent_elf_vdses": 0},
        without=("load_balancer_service", "vpc_service"),
    ),
    Spec("NetworkPolicyRuleService", "", 2, values={"members": [], "preset": False}),
    Spec("IsolationPolicy", values={"mode": "ALL"}, without=("statistics",)),
    Spec("SecurityGroup", values={"label_groups": []}, many={"vms": 2}),
    Spec(
        "SecurityPolicy",
        "",
        2,
        values={"apply_to": [], "ingress": [], "egress": []},
        without=("statistics",),
    ),
    Spec(
        "VirtualPrivateCloudService",
        values={"internal_cidr": "10.255.0.0/16", "tep_ip_pools": []},
    ),
    Spec("VirtualPrivateCloudClusterBinding", "Cluster", only=_ELF),
    Spec("VirtualPrivateCloudEdgeGatewayGroup"),
    Spec("VirtualPrivateCloudEdgeGateway", "VirtualPrivateCloudEdgeGatewayGroup", 2),
    Spec("VirtualPrivateCloud", "", 2, rows=({"name": "blue"}, {"name": "green"})),
    Spec("VirtualPrivateCloudRouteTable", "VirtualPrivateCloud", values={"default_for_vpc": True}),
    Spec("VirtualPrivateCloudSubnet", "VirtualPrivateCloud", 2),
    # Older clients do not know groups of subnets. For these clients, a subnet is added as well.
    Spec("VirtualPrivateCloudExternalSubnet", "VirtualPrivateCloud", values={"exclusive": True}),
    Spec("VirtualPrivateCloudExternalSubnetGroup", without=("vpc",)),
    *(
        Spec(kind, "VirtualPrivateCloud", without=("external_subnet_group",))
        for kind in (
            "VirtualPrivateCloudFloatingIp",
            "VirtualPrivateCloudNatGateway",
            "VirtualPrivateCloudRouterGateway",
        )
    ),
    Spec("VirtualPrivateCloudSecurityGroup", "VirtualPrivateCloud", values={"label_groups": []}),
    Spec(
        "VirtualPrivateCloudSecurityPolicy",
        "VirtualPrivateCloud",
        values={"apply_to": [], "ingress": [], "egress": []},
    ),
)

_PROTECTION = (
    Spec("BackupService", many={"backup_clusters": 0}, without=("running_vm",)),
    Spec("BackupStoreRepository", "BackupService", values={"type": "NFS3"}),
    Spec("BackupPlan", "BackupService", 2, values={"name": "backup-{n}"}, many={"vms": 3}),
    Spec("BackupPlanExecution", "BackupPlan", 2),
    Spec("BackupTargetExecution", "BackupPlanExecution", without=("backup_restore_point",)),
    Spec("BackupRestorePoint", "BackupTargetExecution"),
    Spec("BackupRestoreExecution", most=1, values={"mode": "REBUILD"}),
    Spec("ReplicationService", many={"replication_clusters": 0}),
    Spec(
        "ReplicationPlan",
        "ReplicationService",
        many={"vms": 2},
        without=("external_cloudtower",),
    ),
    Spec(
        "SyncReplicationPlan",
        "ReplicationService",
        many={"vms": 1},
        without=("external_cloudtower",),
    ),
    Spec(
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
    Spec(
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

RESOURCE_SPECS: tuple[Spec, ...] = (
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
"""Specifications of all resources that the resource generator creates."""
