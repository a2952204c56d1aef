"""The command ``resources``: list the resources that ``get`` can show."""

from __future__ import annotations

from typing import get_args

from ..calls import registry
from .columns import every_column
from .language import tr
from .resource_names import query_for, resource_names
from .streams import write_output
from .tables import format_table
from .type_names import struct_type_name
from .views import table_headings


def resources(resource: str | None = None, /) -> None:
    """List the kinds of resources, or the columns of one kind. Needs no server.

    Args:
        resource: Kind of resource whose columns are listed, such as vm. [default: list all kinds]
    """
    if resource is None:
        write_output(format_table(["resource"], [[name] for name in resource_names()]))
        return
    [struct] = get_args(registry.operation(query_for(resource)).answer())
    rows = [[name, struct_type_name(kind)] for name, kind in every_column(struct).items()]
    rows += [
        [name, tr("in tables only, from {fields}", fields=", ".join(fields))]
        for name, fields in table_headings(struct).items()
    ]
    write_output(format_table(["column", "holds"], rows))
