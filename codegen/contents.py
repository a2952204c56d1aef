"""Contents of the reference: the public names that each page documents."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from cloudtower_async import errors

from .definitions import ROOT, Function, decorators, find

SESSION = "Cloudtower"


class Page(NamedTuple):
    """A page of the reference: its title, its introduction, and its names."""

    title: str
    guides: str
    names: dict[str, str]
    """Names by module, separated by spaces. The name of a method includes its class."""


PAGES = {
    "session": Page(
        "session",
        "[Sessions](../session.md), [Middleware](../middleware.md)",
        {
            ROOT: "Cloudtower Cloudtower.from_env Cloudtower.open Cloudtower.close "
            "Cloudtower.with_options Cloudtower.endpoint Cloudtower.lock_timeout "
            "Cloudtower.mutations Cloudtower.preload Cloudtower.ping Cloudtower.get_token "
            "Cloudtower.find_active Cloudtower.server_version Cloudtower.request Cloudtower.raw "
            "RawResponse Cloudtower.graphql Cloudtower.api_keys ApiKeys ApiKey ApiKeyRole "
            "Cloudtower.vnc VncTicket Middleware Proceed OperationCall record_exchanges Exchange"
        },
    ),
    "options": Page(
        "options",
        "[Settings](../settings.md), [Retries and time-outs](../retries.md)",
        {
            ROOT: """SessionOptions ScopedOptions EnvironmentOptions RetryPolicy UploadOptions
            UploadState"""
        },
    ),
    "queries": Page(
        "queries",
        "[Queries](../queries.md), [Filters](../filters.md)",
        {
            ROOT: "Cloudtower.iterate Cloudtower.fetch_all Fetched Cloudtower.get_one "
            "Cloudtower.resolve Cloudtower.count Cloudtower.loader Loader select_fields "
            "to_records to_arrow Everything"
        },
    ),
    "tasks": Page(
        "tasks and locks",
        "[Waiting for tasks](../tasks.md)",
        {
            ROOT: "Cloudtower.wait Cloudtower.settle Cloudtower.as_completed Cloudtower.progress "
            "Waitable HasTaskId WithTask Cloudtower.pending Pending PendingAnswer "
            "PendingResource Cloudtower.lock"
        },
    ),
    "plans": Page(
        "dry runs",
        "[Dry runs](../dry-run.md)",
        {ROOT: "Cloudtower.plan Plan PlannedMutation PlannedResource PlannedAnswer"},
    ),
    "watch": Page(
        "watches and changes",
        "[Watching resources](../watch.md)",
        {
            ROOT: "Cloudtower.watch Watch WatchEvent Subscription Subscribers "
            "Cloudtower.wait_until Cloudtower.changes Changes Change"
        },
    ),
    "metrics": Page(
        "metrics",
        "[Metrics](../metrics.md)",
        {
            ROOT: "Cloudtower.measure Cloudtower.top_n Measurements MetricSeries MetricRow "
            "RankedMetric Subject MetricsWarning"
        },
    ),
    "uploads": Page(
        "uploads",
        "[Uploads](../uploads.md)",
        {
            ROOT: "Cloudtower.upload Upload Uploadable UploadTarget ContentLibraryImage ElfImage "
            "SvtImage ElfFile CloudTowerApplicationPackage UploadProgress"
        },
    ),
    "errors": Page(
        "errors",
        "[Errors and exceptions](../errors.md), [Retries and time-outs](../retries.md)",
        {
            ROOT: "CloudtowerError InvalidSettings InvalidInput EmptyFilter MutationRefused "
            "PlanEnded SessionClosed CallError ConnectionFailed NameNotResolved TLSFailed "
            "ProxyFailed ProxyRefused NoActive MultipleActive CredentialsUnavailable CallTimeout "
            "ResponseDecodeError PagingFailed GraphQLError OutcomeUnknown MutationTimeout "
            "Ambiguous SetChanged StatusError BadRequest ResourceLocked "
            "Unauthorized LoginFailed Forbidden NotFound TooManyRequests ServerError "
            "UnexpectedStatus TaskError TaskFailed TaskTimeout TaskNotFound UnknownTaskStatus "
            "SettleTimeout ReadBackFailed TasksFailed UploadError UploadInterrupted UploadFailed "
            "UploadTimeout SourceChanged ConditionError ConditionFailed ConditionTimeout "
            "JobLocked LeaseLost EffectMissing LockTimeout NoChangeFeed Resync"
        },
    ),
    "types": Page(
        "types, dates and sizes",
        "[Arguments](../arguments.md), [Filters](../filters.md)",
        {
            ROOT: "EVERYTHING NULL Date Texts ContentLanguage FileContent OpenEnum "
            "Connection Aggregate LockedResource parse_time format_bytes parse_bytes"
        },
    ),
    "recipes": Page(
        "recipes",
        "[Recipes](../recipes/index.md)",
        {
            f"{ROOT}.recipes": "start_vms shut_down_vms restart_vms PowerOutcome "
            "create_vm_from_template create_blank_vm NewDisk ExistingVolume Disk Nic "
            "import_template backup_vm backup_vms Backup wait_for_tools wait_for_addresses "
            "check_maintenance enter_maintenance leave_maintenance MaintenanceCheck "
            "MaintenanceEntered MaintenanceLeft VmsInTheWay Progress OnProgress"
        },
    ),
    "ensure": Page(
        "idempotent recipes",
        "[Idempotent recipes](../recipes/ensure.md)",
        {
            f"{ROOT}.recipes": "ensure_vm ensure_power PowerState ensure_snapshot ensure_label "
            "ensure_labels ensure_folder ensure_placement_group ensure_volume_attached "
            "ensure_volume_detached Ensured EnsureResult"
        },
    ),
    "reports": Page(
        "dashboard and reports",
        "[Dashboard](../dashboard.md), [Reports](../recipes/reports.md)",
        {
            f"{ROOT}.recipes": "build_dashboard Dashboard ClusterSummary AlertSummary AlertCounts "
            "CpuSummary MemorySummary StorageSummary DiskSummary Amount find_orphans Orphan "
            "OrphanKind measure_nic_errors NicErrors forecast_capacity CapacityForecast "
            "CapacityOutlook find_expirations Expiration ExpirationKind"
        },
    ),
    "jobs": Page(
        "jobs and fleets",
        "[Jobs](../jobs.md), [Fleets](../fleet.md), [Prometheus exporter](../exporter.md)",
        {
            f"{ROOT}.jobs": "once job_lock Journal JournalEntry Lease SqliteJournal FleetJob "
            "FleetItem",
            f"{ROOT}.jobs.redis_journal": "RedisJournal redis_client",
            f"{ROOT}.jobs.fleet": "run_fleet FleetRun TowerRun FleetFailure fleet_status "
            "FleetStatus QueueStatus",
            f"{ROOT}.jobs.exporter": "Exporter MetricsServer hash_password read_password_file",
        },
    ),
    "testing": Page(
        "testing",
        "[Testing](../testing.md)",
        {
            f"{ROOT}.testing": "Simulator make FleetSize Clock Failure Request",
            f"{ROOT}.simulator.tasks": "TaskEngine",
            f"{ROOT}.simulator.faults": "Faults",
            f"{ROOT}.simulator.store.store": "Store",
            f"{ROOT}.simulator.behavior": "Behavior",
        },
    ),
}


MEMBERS = {
    "Cloudtower": "",  # each method has a separate entry
    "CallError": "",
    "Change": "old new old_values new_values",
    "Changes": "revision anchor",
    "Faults": "fail answer hang reset truncate garbage html slow delay at_random clear",
    "Behavior": "",
    "Pending": "task_ids to_json from_json",
    "Plan": "resource_ids is_placeholder",
    "Store": "select table get change add remove",
    "Subscribers": "subscribe change",
    "Subscription": "",
    "TaskEngine": "fail_next hide_next pause resume",
    "TasksFailed": "failed",
    "Upload": "upload_task_id state result",
    "UploadProgress": "seconds_left",
    "UploadState": "to_json from_json",
    "Watch": "snapshot polls subscribe",
}
"""Members to document, by class. Other members of these classes are not for users."""


@cache
def places() -> dict[str, str]:
    """Return the page and anchor of each public name, such as `tasks.md#taskfailed`."""
    found: dict[str, str] = {}
    for name, page in PAGES.items():
        for module, names in page.names.items():
            for one in names.split():
                for entry in (one, *(f"{one}.{member}" for member in members(module, one))):
                    place = f"{name}.md#{anchor(entry)}"
                    assert entry not in found, entry
                    assert place not in found.values(), place
                    found[entry] = place
    return found


def anchor(heading: str) -> str:
    """Return the anchor that GitHub and MyST derive from a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def modules() -> dict[str, str]:
    """Return, for each public name, the module from which users import the name."""
    return {
        name: module
        for page in PAGES.values()
        for module, names in page.names.items()
        for name in names.split()
    }


class PublicName(NamedTuple):
    """A name that has a heading in the reference: a class, a function, a method and so on."""

    name: str
    module: str
    kind: str
    """Kind of the name in Sphinx: class, exception, method, property, function or data."""


def public_names() -> Iterator[PublicName]:
    """Yield the public names of all pages, including the members of classes."""
    for name, module in modules().items():
        for one in (name, *(f"{name}.{member}" for member in members(module, name))):
            definition = find(module, one)
            assert definition
            match definition.nodes[0]:
                case ast.ClassDef():
                    kind = "exception" if is_error(one) else "class"
                case ast.AnnAssign() | ast.Assign():
                    kind = "data"
                case node if "property" in decorators(node):
                    kind = "property"
                case _:
                    kind = "method" if "." in one else "function"
            yield PublicName(one, module, kind)


def is_error(name: str) -> bool:
    """Return whether a name is an exception in `cloudtower_async.errors`."""
    value = getattr(errors, name, None)
    return isinstance(value, type) and issubclass(value, BaseException)


@cache
def members(module: str, name: str) -> list[str]:
    """Return the public methods and properties of a class that have a docstring."""
    definition = find(module, name)
    assert definition, f"{module}.{name} is not defined"
    node = definition.nodes[0]
    if not isinstance(node, ast.ClassDef):
        return []
    own = dict.fromkeys(
        one.name
        for one in node.body
        if isinstance(one, Function)
        and not one.name.startswith("_")
        and (ast.get_docstring(one) or "overload" in decorators(one))
    )
    return MEMBERS[name].split() if name in MEMBERS else [*own]
