"""Corrections of the schema, with reasons. The rest of the generator has no special cases."""

from __future__ import annotations

# Name in the schema -> Python name, where the general rule would give a wrong name.
NAMES = {
    # The plural of an abbreviation. The general rule would split it into `VD` and `Ses`.
    "manageVDSes": "manage_vdses",
    # The vendor's Python SDK uses this name, and users look for it.
    "GetTopNVmVolumeMetrics": "get_top_nvm_volume_metrics",
}

# Enum value that has no letters -> name of the enum member.
MEMBERS = {"*": "ANY"}

# Enum -> prefix of its values that the names of enum members in the vendor's SDK leave out.
MEMBER_PREFIXES = {
    # Before 4.0.0, all values had this prefix. 4.0.0 added values without it, and the vendor kept
    # the short names.
    "VmVolumeElfStoragePolicyType": "REPLICA_",
}

# (schema, property) -> scalar type of the property.
SCALARS = {
    # Time in milliseconds. Some servers send an integer, other servers a fraction.
    ("DataPoint", "t"): "float",
}

# "METHOD /path" of each operation that is left out, because the generator cannot handle it.
LEFT_OUT: frozenset[str] = frozenset()

# (record, key) of each argument whose type was different on older servers.
CHANGED_KEYS = frozenset(
    {
        # Before 4.5.0, this was a string. Since then, it is an object with one string per language.
        ("TaskUpdateParamsData", "description"),
    }
)

# Paths of operations that only read, although the path does not start with `/get-`.
QUERIES = frozenset(
    {
        # Returns the result of an earlier precheck, by the id of its task.
        "/enter-maintance-mode-precheck-result",
        "/exit-maintance-mode-precheck-result",
        # These operations compute an answer from existing data and store nothing.
        "/download_nvram",
        "/export-csv",
        "/resource-changes",
    }
)

# Answer type of a deletion -> type of the deleted resource, if the name of the answer type does not
# show it.
DELETED = {
    # The resource is called `UserRoleNext` in other parts of the schema.
    "DeleteRole": "UserRoleNext",
}

# Properties that hold secrets although their names do not show it.
SECRETS = frozenset(
    {
        # Console addresses of a VM. Their query strings contain the ticket.
        "direct",
        "redirect",
        "terminal",
        # Environment variables of an application's VM, which may contain secrets.
        "env",
        # Address of the source of an image. Such an address often contains a signature or a
        # password.
        "url",
    }
)

# Properties whose value is JSON in a string. The JSON may contain any secret.
JSON_TEXTS = frozenset({"new_value", "old_value"})

# Properties whose names look like secrets, but whose values are not secret.
NO_SECRETS = frozenset({"api_key_name", "password_updated_at"})
