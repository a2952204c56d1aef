"""Mutations of settings, alert rules, accounts and reports that need special code."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...http_errors import HttpError, NoMatchError
from ...tasks import Work
from ..body_validation import check_body
from ..context import Result
from ..generic.crud import add
from ..generic.default_documents import new_document
from ..generic.field_rules import resolve_ids
from ..mutation import mutation_at, select_documents, start_task

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..body import Body, Fields
    from ..context import Context, Handler, Results


def _create_root_user(context: Context, body: Body) -> Results:
    """Reject the request, because a simulated Tower always has a root user."""
    del context
    check_body("create-root-user", body)
    raise HttpError(400, "there is a root user already")


def _delete_recycle_bin(context: Context, body: Body) -> Results:
    path = "delete-cluster-recycle-bin-setting"
    check_body(path, body)
    store = context.store
    clusters = set(resolve_ids(context, "Cluster", body["where"]))
    found = [one for one in store.table("ClusterSettings").values() if one["cluster"] in clusters]
    if not found:
        raise NoMatchError("no cluster matches the filter")

    def clear(settings: Document) -> None:
        store.change("ClusterSettings", settings["id"], vm_recycle_bin=None)

    def start(settings: Document) -> str:
        work = Work(partial(clear, settings))
        return start_task(context, path, "update", "ClusterSettings", settings, work)

    return [Result(None, one["id"], start(one)) for one in found]


def _customize_alert_rule(context: Context, body: Body) -> Results:
    """Customize alert rules for the clusters in the body."""
    path, resource = "update-customize-alert-rule", "GlobalAlertRule"
    check_body(path, body)
    store = context.store
    data = dict(body["data"])
    clusters = resolve_ids(context, "Cluster", data.pop("clusters"))
    found = store.select(resource, body["where"])
    if not found or not clusters:
        raise NoMatchError("no alert rule or no cluster matches")

    def customize(rule: Document) -> None:
        own = {store.get("AlertRule", one)["cluster"]: one for one in rule["alert_rules"] or ()}
        for cluster in clusters:
            fields: Fields = {"customized": True, **data}
            if cluster in own:
                store.change("AlertRule", own[cluster], **fields)
                continue
            base = {name: rule[name] for name in ("disabled", "thresholds")}
            ties = {"cluster": cluster, "global_alert_rule": rule["id"]}
            new = new_document(context.factory, "AlertRule")
            store.add("AlertRule", {**new, **base, **fields, **ties})

    def start(rule: Document) -> str:
        work = Work(partial(customize, rule))
        return start_task(context, path, "update", resource, rule, work)

    return [Result(resource, one["id"], start(one)) for one in found]


def _update_esxi_accounts(context: Context, body: Body) -> Results:
    """Update all ESXi accounts in the body with a single task."""
    path = "update-vsphere-esxi-account"
    check_body(path, body)
    store = context.store
    said: list[Body] = body["data"]
    for part in said:
        resolve_ids(context, "VsphereEsxiAccount", part["esxi_account_id"])
    if not said:
        raise HttpError(304, "nothing to change")
    ids = tuple(part["esxi_account_id"] for part in said)

    def succeed() -> None:
        for part in said:
            shown = {name: part[name] for name in ("ip", "port", "username") if name in part}
            store.change("VsphereEsxiAccount", part["esxi_account_id"], is_valid=True, **shown)

    first = store.get("VsphereEsxiAccount", ids[0])
    task = start_task(context, path, "update", "VsphereEsxiAccount", first, Work(succeed))
    return [Result("VsphereEsxiAccount", ids, task)]


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


MUTATIONS: dict[str, Handler] = {
    "create-root-user": _create_root_user,
    "delete-cluster-recycle-bin-setting": _delete_recycle_bin,
    "generate-from-report-template": _generate_report,
    "update-customize-alert-rule": _customize_alert_rule,
    "update-vsphere-esxi-account": _update_esxi_accounts,
}
