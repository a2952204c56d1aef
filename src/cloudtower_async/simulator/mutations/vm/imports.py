"""Mutations that import VMs, templates and volumes from uploads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...fleet.aggregates import add_written
from ...http_errors import HttpError
from ...tasks import Work
from ..body import part
from ..context import Result
from .devices import CdRomDraft, DiskDraft, add_volume
from .templates import LIBRARY, library_disk, spread
from .vm_body import cd_rom_drafts, complete, disk_drafts, image_of, nic_drafts, policy, settings
from .vm_builder import VmDraft, check_drafts, check_hardware, create_vm
from .vm_mutation import checked, get_document

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..body import Body, Fields
    from ..context import Context, Handler


def _uploaded(context: Context, identifiers: list[str]) -> list[Document]:
    """Return the upload tasks with these ids.

    Raises:
        HttpError: An upload is not complete.
    """
    uploads = [get_document(context, "UploadTask", one) for one in identifiers]
    for upload in uploads:
        if upload["status"] != "SUCCESSED":
            raise HttpError(400, f"upload {upload['id']} is {upload['status']}")
    return uploads


def _base(ovf: Body) -> Fields:
    same = {name: ovf[name] for name in ("cpu", "vcpu", "memory", "firmware")}
    return {**same, "description": ovf.get("description", "")}


def _disks(ovf: Body, operate: Body, uploads: list[Document]) -> list[DiskDraft]:
    """Return drafts of the disks in an OVF file, with the changes that `operate` requests.

    `uploads` contains the upload of each disk, in the same order as the disks.
    """
    changes = {one["vmdk_name"]: one for one in operate.get("modify_vmdk_disks") or ()}
    disks = [disk for disk in ovf["disks"] if disk["type"] == "DISK"]
    if len(uploads) != len(disks):
        raise HttpError(400, "upload_tasks: one for each disk of the OVF")
    return [
        DiskDraft(
            bus=change.get("bus", disk["bus"]),
            boot=change.get("boot", place + 1),
            name=change.get("volume_name", disk["name"]),
            size=disk["size"],
            policy=policy(change),
            written=min(disk["size"], uploads[place]["size"]),
        )
        for place, disk in enumerate(disks)
        if (change := changes.get(disk["name"]) or {"vmdk_name": disk["name"]})
    ]


def _cd_roms(context: Context, ovf: Body, operate: Body, cluster: str) -> list[CdRomDraft]:
    changes: dict[int, Body] = {one["index"]: one for one in operate.get("modify_cd_roms") or ()}
    found = [disk for disk in ovf["disks"] if disk["type"] == "CD_ROM"]
    drafts: list[CdRomDraft] = []
    for place in range(len(found)):
        change = changes.get(place, {})
        if not change.get("removed"):
            boot = change.get("boot", len(ovf["disks"]) + place)
            drafts.append(CdRomDraft(boot=boot, image=image_of(context, change, cluster)))
    return drafts


def _import_vms(context: Context, body: list[Body]) -> list[Result]:
    drafts = [_vm(context, values) for values in body]
    check_drafts(context, drafts)
    return [create_vm(context, draft) for draft in drafts]


def _vm(context: Context, values: Body) -> VmDraft:
    ovf, cluster = values["parsed_ovf"], values["cluster_id"]
    operate = part(values, "disk_operate")
    new = part(operate, "new_disks")
    uploads = _uploaded(context, values["upload_tasks"])
    if "owner_id" in values:
        get_document(context, "User", values["owner_id"])
    draft = VmDraft(
        mutation="importVm",
        fields=settings(values, _base(ovf)),
        cluster=cluster,
        disks=[*_disks(ovf, operate, uploads), *disk_drafts(context, new, cluster)],
        cd_roms=[
            *_cd_roms(context, ovf, operate, cluster),
            *cd_rom_drafts(context, new.get("mount_cd_roms") or (), cluster),
        ],
        nics=nic_drafts(context, values.get("vm_nics") or (), cluster),
    )
    return complete(context, draft, values)


def _import_templates(context: Context, body: list[Body]) -> list[Result]:
    wanted = [(values, *_template(context, values)) for values in body]
    return [_add_template(context, *one) for one in wanted]


def _template(context: Context, values: Body) -> tuple[Fields, list[DiskDraft]]:
    get_document(context, "Cluster", values["cluster_id"])
    uploads = _uploaded(context, values["upload_tasks"])
    fields = settings(values, _base(values["parsed_ovf"]))
    check_hardware(fields)
    return fields, _disks(values["parsed_ovf"], part(values, "disk_operate"), uploads)


def _add_template(context: Context, values: Body, fields: Fields, disks: list[DiskDraft]) -> Result:
    factory = context.factory
    cluster = factory.store.get("Cluster", values["cluster_id"])
    fields.pop("guest_os_type", None)
    template = factory.store.add(
        LIBRARY,
        {
            "id": factory.ids.cuid(),
            "ha": True,
            "clock_offset": "UTC",
            "win_opt": False,
            **{name: value for name, value in fields.items() if name != "ha_priority"},
            "architecture": cluster["architecture"],
            "cloud_init_supported": False,
            "cpu_model": "cluster_default",
            "createdAt": factory.clock.timestamp(),
            "entityAsyncStatus": "CREATING",
            "size": 0,
            "vm_disks": [],
            "vm_nics": [_nic(place, nic) for place, nic in enumerate(values.get("vm_nics") or ())],
            "vm_template_uuids": [],
        },
    )

    def succeed() -> None:
        template["vm_disks"] = [_library_disk(place, disk) for place, disk in enumerate(disks)]
        template["size"] = sum(disk.size for disk in disks)
        spread(context, template, cluster["id"])

    def fail() -> None:
        factory.store.remove(LIBRARY, template["id"])

    work = Work(succeed, fail)
    task_id = context.start("importVmTemplate", LIBRARY, template, work, locks=[template])
    return Result(LIBRARY, template["id"], task_id)


def _library_disk(place: int, disk: DiskDraft) -> Fields:
    return library_disk(
        {
            "boot": disk.boot,
            "bus": disk.bus,
            "disabled": False,
            "disk_name": disk.name,
            "index": place,
            "size": disk.size,
            "type": "DISK",
        },
        disk.policy,
    )


def _nic(place: int, nic: Body) -> Fields:
    """Return the NIC with index `place` of an imported template.

    The NIC has no VLAN. The VLAN is chosen when a VM is created from the template.
    """
    given = {name: nic.get(name) for name in ("enabled", "mirror", "model")}
    return {"index": place, "type": "VLAN", "vlan": None, "vpc_nic": None, **given}


def _import_volumes(context: Context, body: list[Body]) -> list[Result]:
    wanted: list[tuple[Body, Document]] = []
    for values in body:
        get_document(context, "Cluster", values["cluster_id"])
        wanted.append((values, _uploaded(context, [values["upload_task_id"]])[0]))
    return [_add_volume(context, values, upload) for values, upload in wanted]


def _add_volume(context: Context, values: Body, upload: Document) -> Result:
    store = context.store
    draft = DiskDraft(
        bus="VIRTIO",
        boot=0,
        name=values["name"],
        size=upload["size"],
        policy=values.get("storage_policy") or policy(values),
        written=upload["size"],
    )
    volume = add_volume(context.factory, values["cluster_id"], draft, mounting=False)

    def fail() -> None:
        add_written(store, volume["cluster"], -volume["unique_size"])
        store.remove("VmVolume", volume["id"])

    task_id = context.start(
        "importVmVolume",
        "VmVolume",
        volume,
        Work(fail=fail),
        locks=[volume],
        status="CREATING",
    )
    return Result("VmVolume", volume["id"], task_id)


MUTATIONS: dict[str, Handler] = checked(
    {
        "import-vm": _import_vms,
        "import-content-library-vm-template": _import_templates,
        "import-vm-volume": _import_volumes,
    }
)
