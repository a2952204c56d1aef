"""Corrections of the schema, each with its reason. There are no special cases elsewhere."""

from __future__ import annotations

# Name that the general rule would split wrongly -> Python name.
NAMES = {
    # A plural of an abbreviation: the rule sees `VD` + `Ses`.
    "manageVDSes": "manage_vdses",
    # The vendor's Python SDK uses this name, and users look for it.
    "GetTopNVmVolumeMetrics": "get_top_nvm_volume_metrics",
}

# Enum value without letters -> name of the member.
MEMBERS = {"*": "ANY"}

# Enum -> prefix of its values that the vendor's member names leave out.
MEMBER_PREFIXES = {
    # All values had this prefix until 4.0.0 added others; the vendor kept the short names.
    "VmVolumeElfStoragePolicyType": "REPLICA_",
}

# (schema, property) -> scalar type of the property.
SCALARS = {
    # Milliseconds: some servers send an integer, others a number.
    ("DataPoint", "t"): "float",
}

# "METHOD /path" of each operation to leave out, because the generator cannot handle it.
LEFT_OUT: frozenset[str] = frozenset()

# (record, key of an argument) whose type was different on older servers.
CHANGED_KEYS = frozenset(
    {
        # A string before 4.5.0; one string per language since then.
        ("TaskUpdateParamsData", "description"),
    }
)

# Operations that only read, although their path does not start with `/get-`.
QUERIES = frozenset(
    {
        # Result of an earlier precheck, looked up by its task.
        "/enter-maintance-mode-precheck-result",
        "/exit-maintance-mode-precheck-result",
        # Both compute an answer from existing data and store nothing.
        "/download_nvram",
        "/export-csv",
        "/resource-changes",
    }
)

# Types with the id of a deleted resource -> type of that resource, if the name does not show it.
DELETED = {
    # Elsewhere the schema calls this a role.
    "DeleteRole": "UserRoleNext",
}

# Properties that hold secrets although their names do not show it.
SECRETS = frozenset(
    {
        # Console addresses of a VM; their query string contains the ticket.
        "direct",
        "redirect",
        "terminal",
        # Environment of an application's VM, which may hold secrets.
        "env",
        # Source of an image; such addresses are often signed or contain a password.
        "url",
    }
)

# Properties with JSON as a string, which may contain any secret.
JSON_TEXTS = frozenset({"new_value", "old_value"})

# Properties with names like secrets, but without secret values.
NO_SECRETS = frozenset({"api_key_name", "password_updated_at"})
