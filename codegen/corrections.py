"""Corrections of the schema, each with its reason. There are no other special cases."""

from __future__ import annotations

# A name that the general rule would split badly -> the Python name.
NAMES = {
    # A plural of an abbreviation: the rule sees `VD` + `Ses`.
    "manageVDSes": "manage_vdses",
    # The vendor's Python SDK calls it so, and users look for it there.
    "GetTopNVmVolumeMetrics": "get_top_nvm_volume_metrics",
}

# An enum value with no letters in it -> the member's name.
MEMBERS = {"*": "ANY"}

# Enum -> the beginning of its values that the vendor's names of members leave out.
MEMBER_PREFIXES = {
    # All values began with it until 4.0.0 added others; the vendor kept the short names.
    "VmVolumeElfStoragePolicyType": "REPLICA_",
}

# (schema, property) -> the scalar to read it as.
SCALARS = {
    # Milliseconds, an integer for some servers and a number for others.
    ("DataPoint", "t"): "float",
}

# "METHOD /path" of each operation to leave out, as the generator cannot handle it.
LEFT_OUT: frozenset[str] = frozenset()

# (record, key of an argument) that held something else for older servers than it does now.
CHANGED_KEYS = frozenset(
    {
        # A text before 4.5.0, and one for each language since.
        ("TaskUpdateParamsData", "description"),
    }
)

# Operations that only read although their path does not begin with `/get-`.
QUERIES = frozenset(
    {
        # Results of a precheck that ran before, looked up by its task.
        "/enter-maintance-mode-precheck-result",
        "/exit-maintance-mode-precheck-result",
        # Both compute an answer from what is there and store nothing.
        "/download_nvram",
        "/export-csv",
        "/resource-changes",
    }
)

# Types with the id of something deleted -> what that was, where it is not named after it.
DELETED = {
    # The schema calls a role so in its other places.
    "DeleteRole": "UserRoleNext",
}

# Properties that hold secrets although their names do not say so.
SECRETS = frozenset(
    {
        # Addresses of a VM's screen, with the ticket for it in their query.
        "direct",
        "redirect",
        "terminal",
        # Environment of an application's VM, which may hold secrets.
        "env",
        # Source of an image; such addresses are often signed, or hold a password.
        "url",
    }
)

# Properties with JSON as a text, which may hold any secret.
JSON_TEXTS = frozenset({"new_value", "old_value"})

# Properties with names like those of secrets, but without secret values.
NO_SECRETS = frozenset({"api_key_name", "password_updated_at"})
