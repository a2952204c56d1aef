"""Generate reports from templates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .body_validation import check_body
from .generic.crud import add
from .generic.default_documents import new_document
from .mutation import mutation_at, select_documents

if TYPE_CHECKING:
    from ..store.filters import Document
    from .body import Body, Fields
    from .context import Context, Handler, Results


def _generate_report(context: Context, body: Body) -> Results:
    mutation = mutation_at("generate-from-report-template")
    check_body(mutation.path, body)
    templates = select_documents(context, mutation.about("ReportTemplate"), body, {})
    made: list[Document] = []
    for template in templates:
        report = new_document(context.factory, "ReportTask")
        said: Fields = {"name": template["name"], "status": "SUCCESSED"}
        made.append({**report, **said, "template": template["id"]})
    return mutation.reply([add(context, mutation, one, {}) for one in made])


MUTATIONS: dict[str, Handler] = {"generate-from-report-template": _generate_report}
