"""Make sure that a placement group exists and has exactly the given members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from ... import inputs, models
from ...client import Cloudtower
from ...errors import Ambiguous, InvalidInput, NotFound
from ...validators import bool_fault, check_argument, choice_fault
from ..batch import identified
from ..progress import created_resource
from ..vm_spec import Place
from .flow import (
    RECONCILE_TIMEOUT,
    Ensured,
    Lookup,
    check_texts,
    check_times,
    ensure,
    if_planned,
    in_cluster,
)

_Policies: TypeAlias = Literal["MUST_DIFFERENT", "MUST_SAME", "PREFER_DIFFERENT", "PREFER_SAME"]


async def ensure_placement_group(
    tower: Cloudtower,
    name: str,
    *,
    cluster: str,
    vms: Sequence[str],
    policy: inputs.VmVmPolicy | None = None,
    enabled: bool = True,
    reconcile_timeout: float = RECONCILE_TIMEOUT,
    timeout: float | None = 300.0,
) -> Ensured[models.VmPlacementGroup]:
    """Make sure that a cluster has a placement group with this name and exactly these members.

    If the group is missing, the call creates it. If an existing group has other members, another
    policy or another value of `enabled`, the call changes the group. The description and the rules
    for hosts, such as ``vm_host_must_policy``, are not changed.

    The call creates no duplicates: a server refuses to create a placement group whose name is
    taken.

    Args:
        tower: The session to work with.
        name: Name of the placement group.
        cluster: Name or id of the cluster.
        vms: Names or ids of all members, which must be VMs of the cluster. Other VMs are removed
            from the group.
        policy: Whether the VMs must or should run on the same host or on different hosts:
            ``"MUST_SAME"``, ``"MUST_DIFFERENT"``, ``"PREFER_SAME"`` or ``"PREFER_DIFFERENT"``. None
            means that the policy of an existing group is not changed, and that a new group has no
            policy.
        enabled: Whether the group is in force.
        reconcile_timeout: Seconds to look for the new or changed group if the response to a request
            is lost. If the group does not appear in this time, the request is sent once more. If
            the server reports that the name is taken, the call looks for the group for the same
            time, because a new group may not be listed yet.
        timeout: Maximum number of seconds for each wait. The call waits for each task, and until
            the group is no longer changing. None means no limit.

    Returns:
        An `Ensured`: `resource` is the group, read after the server has completed all changes (see
        `Cloudtower.settle`), and `result` is ``"created"``, ``"changed"`` or ``"unchanged"``.

    Raises:
        Ambiguous: A name in `vms` is the name of several VMs. Or the server already has several
            groups with the name in the cluster.
        NotFound: The cluster or a VM does not exist.
        BadRequest: The server refused the group. The code ``PLACEMENT_GROUP_DUPLICATE_NAME`` means
            that a group of another cluster has the name.
        TaskError: A task failed, or the group was not created or changed within `timeout`.
        OutcomeUnknown: The new or changed group did not appear within `reconcile_timeout` after the
            last request.
        CallError: A call failed for another reason.
        InvalidInput: An argument cannot be used.

    Example:
        ::

            await ensure_placement_group(
                tower, "web", cluster="prod", vms=["web-1", "web-2"], policy="PREFER_DIFFERENT"
            )
    """
    recipe = "ensure_placement_group"
    check_texts(recipe, name=name, cluster=cluster)
    if isinstance(vms, str):
        raise InvalidInput(f"{recipe}: vms: expected a list of names or ids, got a single string")
    for vm in vms:
        check_texts(recipe, vms=vm)
    if policy is not None:
        check_argument(recipe, "policy", choice_fault(policy, _Policies))
    check_argument(recipe, "enabled", bool_fault(enabled))
    check_times(recipe, timeout, reconcile_timeout)
    place = (await Place.find(tower, cluster)).cluster
    members = await _members(tower, place.id, vms)

    def fits(group: models.VmPlacementGroup) -> bool:
        return group.name == name and in_cluster(group, place.id)

    what = f"placement group {name!r}"
    query = tower.vm_placement_group.get_vm_placement_groups
    groups = Lookup(tower, query, {"name": name}, fits, what, timeout)
    wanted: inputs.VmPlacementGroupUpdationParamsData = {"enabled": enabled}
    if policy is not None:
        wanted.update({"vm_vm_policy": policy, "vm_vm_policy_enabled": True})
    joining: inputs.VmWhereInput = {"id_in": sorted(members)}

    async def make() -> models.VmPlacementGroup:
        params: inputs.VmPlacementGroupCreationParams = {
            "name": name,
            "cluster_id": place.id,
            "enabled": enabled,
        }
        if policy is not None:
            params.update({"vm_vm_policy": policy, "vm_vm_policy_enabled": True})
        if members:
            params["vms"] = joining
        answers = await tower.vm_placement_group.create_vm_placement_group([params])
        operation = "vm_placement_group.create_vm_placement_group"
        return await created_resource(tower, answers, operation, timeout)

    async with tower.lock(f"ensure {what}"):
        ensured = await ensure(
            groups.look, make, "created", reconcile_timeout, taken_elsewhere=lambda: groups.others
        )
        known: models.VmPlacementGroup | None = ensured.resource
        group_id = ensured.resource.id

        async def look() -> models.VmPlacementGroup | None:
            nonlocal known
            group, known = known or await groups.look(), None
            same = (
                group is not None
                and {vm.id for vm in group.vms or ()} == members
                and group.enabled == enabled
                and (
                    policy is None or (group.vm_vm_policy_enabled and group.vm_vm_policy == policy)
                )
            )
            return group if same else None

        async def change() -> models.VmPlacementGroup | None:
            answers = await tower.vm_placement_group.update_vm_placement_group(
                where={"id": group_id}, data={**wanted, "vms": joining}
            )
            await tower.wait(answers, timeout=timeout)
            return if_planned(tower, ensured.resource)

        changed = await ensure(look, change, "changed", reconcile_timeout)
    if ensured.result == "unchanged":
        return changed
    return Ensured(result=ensured.result, resource=changed.resource)


async def _members(tower: Cloudtower, cluster_id: str, vms: Sequence[str]) -> set[str]:
    """Return the ids of VMs of a cluster. Each item of `vms` is the name or id of a VM.

    Raises:
        NotFound: A VM does not exist.
        Ambiguous: Several VMs have the same name.
    """
    if not vms:
        return set()
    given = list(dict.fromkeys(vms))
    rows = await tower.fetch_all(
        tower.vm.get_vms,
        where={
            "OR": [{"id_in": given}, {"name_in": given}],
            "cluster": {"id": cluster_id},
        },
    )
    found: set[str] = set()
    for one in given:
        ids = {identified(row, "vm.get_vms").id for row in rows if one in (row.id, row.name)}
        ids = {one} if one in ids else ids
        if not ids:
            raise NotFound(
                f"there is no VM {one!r} in the cluster",
                operation="ensure_placement_group",
                endpoint=tower.endpoint,
                hint="Check the name or id, and the permissions of this user.",
            )
        if len(ids) > 1:
            raise Ambiguous(
                f"there are {len(ids)} of VM {one!r}: {', '.join(sorted(ids))}",
                operation="ensure_placement_group",
                endpoint=tower.endpoint,
                count=len(ids),
                ids=sorted(ids),
            )
        found |= ids
    return found
