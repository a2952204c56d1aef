"""The command ``get``: print resources as a table or in a format for programs."""

from __future__ import annotations

from .connect import ConnectOptions
from .listing import list_resources
from .output_options import ListOptions, OutputOptions


def get(
    resource: str,
    /,
    *,
    listing: ListOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Show resources: vms, hosts, vm-snapshots, content-library-images, …

    Args:
        resource: Kind of resource, singular or plural, such as vm, vms or
            content-library-vm-template. The `resources` command lists all kinds.
        listing: Options such as --where.
        output: Output options.
        connection: Connection options.
    """
    list_resources(resource, listing, output, connection)
