"""Make sure that a folder for VMs exists."""

from __future__ import annotations

from ... import models
from ...client import Cloudtower
from ..progress import created_resource
from ..vm_spec import Place
from .flow import RECONCILE_TIMEOUT, Ensured, Lookup, check_texts, check_times, ensure, in_cluster


async def ensure_folder(
    tower: Cloudtower,
    name: str,
    *,
    cluster: str,
    reconcile_timeout: float = RECONCILE_TIMEOUT,
    timeout: float | None = 300.0,
) -> Ensured[models.VmFolder]:
    """Make sure that a cluster has a folder (VM group) with this name; create it if it is missing.

    Duplicates are possible, because a server may accept a second folder with the same name. Calls
    in one session run one after the other, but two programs that run at the same time can create
    two folders. If a call times out or its program is killed, the server may list the folder later.
    A call before that time creates a second folder. If there are two folders, later calls raise
    `Ambiguous`.

    Args:
        tower: The session to work with.
        name: Name of the folder.
        cluster: Name or id of the cluster.
        reconcile_timeout: Seconds to look for the folder if the response to the create request is
            lost. If the folder does not appear in this time, the request is sent once more.
        timeout: Seconds to wait for the task. None means no limit.

    Returns:
        An `Ensured`: `resource` is the folder, and `result` is ``"created"`` or ``"unchanged"``.

    Raises:
        Ambiguous: Several folders of the cluster have the name.
        NotFound: The cluster does not exist.
        TaskError: The task failed, or the folder was not created within `timeout`.
        OutcomeUnknown: The folder did not appear within `reconcile_timeout` after the last request.
        CallError: A call failed for another reason.
        InvalidInput: An argument cannot be used.

    Example:
        ::

            folder = (await ensure_folder(tower, "web", cluster="prod")).resource
            await tower.wait(
                tower.vm.add_vm_to_folder(where={"id": vm.id}, data={"folder_id": folder.id})
            )
    """
    check_texts("ensure_folder", name=name, cluster=cluster)
    check_times("ensure_folder", timeout, reconcile_timeout)
    place = (await Place.find(tower, cluster)).cluster

    def fits(folder: models.VmFolder) -> bool:
        return folder.name == name and in_cluster(folder, place.id)

    where = {"name": name, "cluster": {"id": place.id}}
    query = tower.vm_folder.get_vm_folders
    folders = Lookup(tower, query, where, fits, f"folder {name!r}", timeout)

    async def make() -> models.VmFolder:
        answers = await tower.vm_folder.create_vm_folder([{"name": name, "cluster_id": place.id}])
        return await created_resource(tower, answers, "vm_folder.create_vm_folder", timeout)

    async with tower.lock(f"ensure folder {name} in {place.id}"):
        return await ensure(folders.look, make, "created", reconcile_timeout)
