"""The commands ``… list`` and ``… show``, which are the same for all kinds of resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .connect import ConnectOptions
from .listing import list_resources
from .output_options import ListOptions, OutputOptions
from .resolve_names import Where
from .show import show_resources

if TYPE_CHECKING:
    from cyclopts import App


def add_list(app: App, resource: str, plural: str, about: str = "") -> None:
    """Add the command ``list`` to a group of commands.

    Args:
        app: Group of commands for a kind of resource.
        resource: Name of the kind of resource for `list_resources`: ``"vms"``.
        plural: Plural noun for the resources: ``VMs``.
        about: More sentences for the help of the command.
    """

    def list_(
        *,
        listing: ListOptions | None = None,
        output: OutputOptions | None = None,
        connection: ConnectOptions | None = None,
    ) -> None:
        list_resources(resource, listing, output, connection)

    list_.__doc__ = f"""List {plural}.

    {about}

    Args:
        listing: Options such as --where.
        output: Output options.
        connection: Connection options.
    """
    app.command(list_, name="list")


def add_show(app: App, query: str, noun: str) -> None:
    """Add the command ``show``, which takes names or ids, to a group of commands.

    Args:
        app: Group of commands for a kind of resource.
        query: Name of the query: ``"vm.get_vms"``.
        noun: Noun for a resource: ``VM``.
    """

    def show(
        *names: str,
        where: Where = None,
        output: OutputOptions | None = None,
        connection: ConnectOptions | None = None,
    ) -> None:
        show_resources(query, names, where, noun, output, connection)

    show.__doc__ = f"""Show {noun}s in detail.

    Args:
        names: Names or ids of the {noun}s.
        where: Filter that selects the {noun}s, as in `list --where`. Use it instead of names or
            ids.
        output: Output options.
        connection: Connection options.
    """
    app.command(show)
