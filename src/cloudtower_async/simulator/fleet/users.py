"""Users and their roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..factory import Factory
    from ..store.filters import Document

_ROLES = {
    "ROOT": ("*",),
    "ADMIN": ("ManageVm", "ManageCluster", "ManageUser"),
    "USER_ADMIN": ("ManageUser",),
    "VM_USER": ("ManageVm",),
    "AUDITOR": ("QueryUserAuditLog", "QuerySystemAuditLog"),
    "READ_ONLY": ("Query",),
}


def add_users(factory: Factory, root: str) -> Document:
    """Add the roles and two users: an administrator and a read-only user named ``viewer``.

    Returns:
        The administrator. The name of this user is the value of `root`.
    """
    roles = {preset: _add_role(factory, preset, actions) for preset, actions in _ROLES.items()}
    user = _add_user(factory, root, roles["ROOT"])
    _add_user(factory, "viewer", roles["READ_ONLY"])
    return user


def _add_role(factory: Factory, preset: str, actions: tuple[str, ...]) -> Document:
    return factory.store.add(
        "UserRoleNext",
        {
            "id": factory.ids.cuid(),
            "name": preset,
            "preset": preset,
            "actions": list(actions),
            "platform": "SELF_SERVICE" if preset == "VM_USER" else "MANAGEMENT",
        },
    )


def _add_user(factory: Factory, name: str, role: Document) -> Document:
    return factory.store.add(
        "User",
        {
            "id": factory.ids.cuid(),
            "name": name,
            "username": name,
            "display_username": name,
            "internal": False,
            "role": role["name"],
            "roles": [role["id"]],
            "source": "LOCAL",
            "password_expired": False,
            "password_updated_at": factory.ago(300, 10),
        },
    )
