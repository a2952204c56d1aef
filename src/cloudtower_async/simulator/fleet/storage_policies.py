"""Storage policies of clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..factory import Factory
    from ..store.filters import Document
    from ..store.store import Store

_USUAL = tuple(
    f"REPLICA_{number}_{kind}_PROVISION" for number in (2, 3) for kind in ("THIN", "THICK")
)


def replicas_of(policy: str) -> int | None:
    """Return the number of replicas from the name of a policy, or None for erasure coding."""
    words = policy.removeprefix("ELF_CP_").split("_")
    return int(words[1]) if words[0] == "REPLICA" else None


def is_thin(policy: str) -> bool:
    """Return whether a policy uses thin provisioning, which reserves no space."""
    return "_THICK_" not in policy


def add_storage_policies(factory: Factory, cluster: Document) -> None:
    """Add the default storage policies to a cluster."""
    for policy in _USUAL:
        _add(factory, cluster["id"], policy)


def policy_uuid(factory: Factory, cluster: str, policy: str) -> str:
    """Return the UUID of a storage policy of a cluster.

    If the cluster has no policy with this name, add the policy.
    """
    name = policy.removeprefix("ELF_CP_")
    found = factory.store.select("ElfStoragePolicy", {"cluster": {"id": cluster}, "name": name})
    return str((found[0] if found else _add(factory, cluster, name))["local_id"])


def policy_name(store: Store, uuid: str) -> str | None:
    """Return the name of the policy with the given UUID, or None if the UUID is unknown."""
    found = store.select("ElfStoragePolicy", {"local_id": uuid})
    return str(found[0]["name"]) if found else None


def _add(factory: Factory, cluster: str, policy: str) -> Document:
    return factory.store.add(
        "ElfStoragePolicy",
        {
            "id": factory.ids.cuid(),
            "local_id": factory.ids.uuid(),
            "name": policy,
            "cluster": cluster,
            "description": "",
            "replica_num": replicas_of(policy) or 1,
            "stripe_num": 4,
            "stripe_size": 262_144,
            "thin_provision": is_thin(policy),
        },
    )
