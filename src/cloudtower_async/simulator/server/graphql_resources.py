"""GraphQL queries of clusters and VMs, updates of VMs, and logins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ..http_errors import BadRequestError, HttpError, require_member
from ..mutations.vm.edit_vm import MUTATIONS
from .login import log_in
from .mutations import mutation_context
from .queries import parse_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..store.filters import Document
    from ..store.store import Store
    from .context import RequestContext
    from .graphql_parser import GraphQLField

_EDITABLE = ("name", "description", "vcpu", "memory", "cpu_cores", "cpu_sockets", "ha")


@dataclass(frozen=True, slots=True)
class GraphQLNode:
    """Document from which a GraphQL query selects fields and related documents.

    Args:
        store: Store with the documents.
        resource: Resource type of the document.
        document: The document.
        language: Language of texts in the response.
    """

    store: Store
    resource: str
    document: Document
    language: str

    def field(self, field: GraphQLField) -> object:
        """Return the value of a field.

        For a relation, the value is a node, a list of nodes, or None without a related document.

        Raises:
            BadRequestError: The resource type has no such field.
        """
        described = self.store.resources[self.resource]
        relation = next((one for one in described.relations if one.field == field.name), None)
        if relation is None:
            if field.name not in described.fields or field.name in described.hidden:
                raise BadRequestError(
                    f'Cannot query field "{field.name}" on type "{self.resource}".'
                )
            shown = self.store.render(self.resource, self.document, self.language)
            return shown[field.name]
        ends = self.document.get(field.name) or ()
        table = self.store.table(relation.target)
        nodes = [
            GraphQLNode(self.store, relation.target, table[end], self.language)
            for end in (ends if relation.many else [ends] if ends else [])
            if end in table
        ]
        if relation.many:
            return nodes
        return nodes[0] if nodes else None


def several(resource: str) -> Callable[[RequestContext, dict[str, Any]], object]:
    """Return a function that resolves a GraphQL query for one page of resources."""

    def answer(context: RequestContext, arguments: dict[str, Any]) -> object:
        store = context.store
        page = parse_page(resource, arguments)
        found = store.select(resource, arguments.get("where"), page)
        return [GraphQLNode(store, resource, one, context.language) for one in found]

    return answer


def single(resource: str) -> Callable[[RequestContext, dict[str, Any]], object]:
    """Return a function that resolves a GraphQL query for a single resource.

    If no resource matches the filter, or if the filter is empty, the result of the query is None.
    """

    def answer(context: RequestContext, arguments: dict[str, Any]) -> object:
        where = require_member(arguments, "where", dict[str, Any])
        found = context.store.select(resource, where) if where else []
        return GraphQLNode(context.store, resource, found[0], context.language) if found else None

    return answer


def update_vm(context: RequestContext, arguments: dict[str, Any]) -> object:
    """Edit a VM, and return the VM.

    The Terraform provider uses this mutation. The response contains no task, so the provider finds
    the task by its field ``resource_mutation``.

    Raises:
        HttpError: The VM does not exist, or the simulator does not model the change.
    """
    where = require_member(arguments, "where", dict[str, Any])
    data = dict(require_member(arguments, "data", dict[str, Any]))
    vm = single("Vm")(context, {"where": where})
    if vm is None:
        raise HttpError(404, "there is no such VM")
    cpu = data.pop("cpu", None)
    if isinstance(cpu, dict):  # an object in GraphQL, but two fields in the REST API
        data |= {f"cpu_{name}": value for name, value in cast("dict[str, Any]", cpu).items()}
    if unknown := sorted(data.keys() - set(_EDITABLE)):
        raise HttpError(501, f"the simulator does not model updateVm of {unknown[0]}")
    with context.store.together():
        MUTATIONS["update-vm-basic-info"](mutation_context(context), {"where": where, "data": data})
    return vm


def token(context: RequestContext, arguments: dict[str, Any]) -> object:
    """Log in, and return the session token as ``{"token": …}``."""
    return {"token": log_in(context, arguments.get("data"))}
