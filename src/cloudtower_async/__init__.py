"""The asyncio-native Python SDK for SmartX CloudTower.

Importing the package is fast, because the import loads no other module of the package. Each public
name is loaded when the name is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from .client import Cloudtower
    from .dates import parse_time
    from .errors import (
        Ambiguous,
        BadRequest,
        CallError,
        CallTimeout,
        CloudtowerError,
        ConditionError,
        ConditionFailed,
        ConditionTimeout,
        ConnectionFailed,
        CredentialsUnavailable,
        EffectMissing,
        EmptyFilter,
        Forbidden,
        GraphQLError,
        InvalidInput,
        InvalidSettings,
        JobLocked,
        LeaseLost,
        LockedResource,
        LockTimeout,
        LoginFailed,
        MultipleActive,
        MutationRefused,
        MutationTimeout,
        NameNotResolved,
        NoActive,
        NoChangeFeed,
        NotFound,
        OutcomeUnknown,
        PagingFailed,
        PlanEnded,
        ProxyFailed,
        ProxyRefused,
        ReadBackFailed,
        ResourceLocked,
        ResponseDecodeError,
        Resync,
        ServerError,
        SessionClosed,
        SetChanged,
        SettleTimeout,
        SourceChanged,
        StatusError,
        TaskError,
        TaskFailed,
        TaskNotFound,
        TasksFailed,
        TaskTimeout,
        TLSFailed,
        TooManyRequests,
        Unauthorized,
        UnexpectedStatus,
        UnknownTaskStatus,
        UploadError,
        UploadFailed,
        UploadInterrupted,
        UploadState,
        UploadTimeout,
    )
    from .graphql.api_keys import ApiKey, ApiKeyRole, ApiKeys
    from .graphql.consoles import VncTicket
    from .metrics.results import (
        Measurements,
        MetricRow,
        MetricSeries,
        MetricsWarning,
        RankedMetric,
        Subject,
    )
    from .operation_call import Middleware, OperationCall, Proceed
    from .options import EnvironmentOptions, ScopedOptions, SessionOptions
    from .plans import Plan, PlannedAnswer, PlannedMutation, PlannedResource
    from .queries.loader import Loader
    from .queries.projection import select_fields
    from .records import to_arrow, to_records
    from .retry.policy import RetryPolicy
    from .tasks.pending import Pending, PendingAnswer, PendingResource
    from .tasks.waiter import HasTaskId, Waitable
    from .transport.exchange_log import record_exchanges
    from .types import (
        EVERYTHING,
        NULL,
        Aggregate,
        Connection,
        ContentLanguage,
        Date,
        Everything,
        Exchange,
        Fetched,
        FileContent,
        OpenEnum,
        RawResponse,
        Texts,
        WithTask,
    )
    from .units import format_bytes, parse_bytes
    from .uploads.source import Uploadable
    from .uploads.targets import (
        CloudTowerApplicationPackage,
        ContentLibraryImage,
        ElfFile,
        ElfImage,
        SvtImage,
        UploadTarget,
    )
    from .uploads.upload import Upload, UploadOptions, UploadProgress
    from .watch.feed import Change, Changes
    from .watch.subscribers import Subscribers, Subscription
    from .watch.view import Watch, WatchEvent

__all__ = [
    "EVERYTHING",
    "NULL",
    "Aggregate",
    "Ambiguous",
    "ApiKey",
    "ApiKeyRole",
    "ApiKeys",
    "BadRequest",
    "CallError",
    "CallTimeout",
    "Change",
    "Changes",
    "CloudTowerApplicationPackage",
    "Cloudtower",
    "CloudtowerError",
    "ConditionError",
    "ConditionFailed",
    "ConditionTimeout",
    "Connection",
    "ConnectionFailed",
    "ContentLanguage",
    "ContentLibraryImage",
    "CredentialsUnavailable",
    "Date",
    "EffectMissing",
    "ElfFile",
    "ElfImage",
    "EmptyFilter",
    "EnvironmentOptions",
    "Everything",
    "Exchange",
    "Fetched",
    "FileContent",
    "Forbidden",
    "GraphQLError",
    "HasTaskId",
    "InvalidInput",
    "InvalidSettings",
    "JobLocked",
    "LeaseLost",
    "Loader",
    "LockTimeout",
    "LockedResource",
    "LoginFailed",
    "Measurements",
    "MetricRow",
    "MetricSeries",
    "MetricsWarning",
    "Middleware",
    "MultipleActive",
    "MutationRefused",
    "MutationTimeout",
    "NameNotResolved",
    "NoActive",
    "NoChangeFeed",
    "NotFound",
    "OpenEnum",
    "OperationCall",
    "OutcomeUnknown",
    "PagingFailed",
    "Pending",
    "PendingAnswer",
    "PendingResource",
    "Plan",
    "PlanEnded",
    "PlannedAnswer",
    "PlannedMutation",
    "PlannedResource",
    "Proceed",
    "ProxyFailed",
    "ProxyRefused",
    "RankedMetric",
    "RawResponse",
    "ReadBackFailed",
    "ResourceLocked",
    "ResponseDecodeError",
    "Resync",
    "RetryPolicy",
    "ScopedOptions",
    "ServerError",
    "SessionClosed",
    "SessionOptions",
    "SetChanged",
    "SettleTimeout",
    "SourceChanged",
    "StatusError",
    "Subject",
    "Subscribers",
    "Subscription",
    "SvtImage",
    "TLSFailed",
    "TaskError",
    "TaskFailed",
    "TaskNotFound",
    "TaskTimeout",
    "TasksFailed",
    "Texts",
    "TooManyRequests",
    "Unauthorized",
    "UnexpectedStatus",
    "UnknownTaskStatus",
    "Upload",
    "UploadError",
    "UploadFailed",
    "UploadInterrupted",
    "UploadOptions",
    "UploadProgress",
    "UploadState",
    "UploadTarget",
    "UploadTimeout",
    "Uploadable",
    "VncTicket",
    "Waitable",
    "Watch",
    "WatchEvent",
    "WithTask",
    "__version__",
    "format_bytes",
    "parse_bytes",
    "parse_time",
    "record_exchanges",
    "select_fields",
    "to_arrow",
    "to_records",
]

_TYPES = (
    "EVERYTHING NULL Aggregate Connection ContentLanguage Date Everything Exchange Fetched "
    "FileContent OpenEnum RawResponse Texts WithTask"
)
_MEASURED = "Measurements MetricRow MetricSeries MetricsWarning RankedMetric Subject"
_PLANNED = "Plan PlannedAnswer PlannedMutation PlannedResource"
_TARGETS = "CloudTowerApplicationPackage ContentLibraryImage ElfFile ElfImage SvtImage UploadTarget"
_HOMES = {
    **dict.fromkeys(("ApiKey", "ApiKeyRole", "ApiKeys"), ".graphql.api_keys"),
    "VncTicket": ".graphql.consoles",
    "Change": ".watch.feed",
    "Changes": ".watch.feed",
    "Cloudtower": ".client",
    "format_bytes": ".units",
    "parse_bytes": ".units",
    "parse_time": ".dates",
    "to_arrow": ".records",
    "to_records": ".records",
    "Loader": ".queries.loader",
    **dict.fromkeys(("Middleware", "OperationCall", "Proceed"), ".operation_call"),
    "RetryPolicy": ".retry.policy",
    "ScopedOptions": ".options",
    "EnvironmentOptions": ".options",
    "SessionOptions": ".options",
    "HasTaskId": ".tasks.waiter",
    "Waitable": ".tasks.waiter",
    "Upload": ".uploads.upload",
    "UploadOptions": ".uploads.upload",
    "Uploadable": ".uploads.source",
    "Pending": ".tasks.pending",
    "PendingAnswer": ".tasks.pending",
    "PendingResource": ".tasks.pending",
    **dict.fromkeys(_PLANNED.split(), ".plans"),
    "Subscribers": ".watch.subscribers",
    "Subscription": ".watch.subscribers",
    "UploadProgress": ".uploads.upload",
    "Watch": ".watch.view",
    "WatchEvent": ".watch.view",
    **dict.fromkeys(_MEASURED.split(), ".metrics.results"),
    "record_exchanges": ".transport.exchange_log",
    "select_fields": ".queries.projection",
    **dict.fromkeys(_TARGETS.split(), ".uploads.targets"),
    **dict.fromkeys(_TYPES.split(), ".types"),
}

if not TYPE_CHECKING:  # a type checker that sees this function would accept any name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(_HOMES.get(name, ".errors"), __name__)
        value: object = getattr(module, name)
        globals()[name] = value  # later look-ups find the name directly
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
