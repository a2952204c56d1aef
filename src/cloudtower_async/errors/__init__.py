"""Exceptions that this package raises.

    CloudtowerError
    ├── InvalidSettings            an option of the session is invalid               (ValueError)
    ├── InvalidInput               the arguments of a call are invalid               (ValueError)
    │   └── EmptyFilter            the filter of a mutation may match everything
    ├── MutationRefused            a mutation was called in a read-only session
    ├── PlanEnded                  in plan mode, the result of the call cannot be known
    ├── SessionClosed              the session is closed, or belongs to another event loop
    ├── CallError                  a call failed
    │   ├── ConnectionFailed       no connection could be made, or it broke     (ConnectionError)
    │   │   ├── NameNotResolved    the host name has no address
    │   │   ├── TLSFailed          the certificate was rejected, or the server has no TLS
    │   │   ├── ProxyFailed        the proxy was not reached, or did not reach the server
    │   │   │   └── ProxyRefused   the proxy requires credentials or forbids the connection
    │   │   ├── NoActive           no node of an active/passive pair is active
    │   │   └── MultipleActive     more than one node of a pair is active
    │   ├── CredentialsUnavailable the function passed as credentials= failed
    │   ├── CallTimeout            the response was not complete in time           (TimeoutError)
    │   ├── ResponseDecodeError    the response is not JSON, or has the wrong form
    │   │   └── PagingFailed       the pages of a result set cannot be read to the end
    │   ├── GraphQLError           the response to a GraphQL request has errors
    │   ├── OutcomeUnknown         a mutation may or may not have been executed
    │   │   └── MutationTimeout    a mutation timed out; also a CallTimeout        (TimeoutError)
    │   ├── Ambiguous              several resources match, but one was expected    (LookupError)
    │   ├── SetChanged             the result set changed too much while its pages were read
    │   └── StatusError            the server responded with an error status
    │       ├── BadRequest         status 400
    │       │   └── ResourceLocked status 400: another task has locked the resource
    │       ├── Unauthorized       status 401
    │       │   └── LoginFailed    the credentials were rejected
    │       ├── Forbidden          status 403
    │       ├── NotFound           status 404, or no resource matches               (LookupError)
    │       ├── TooManyRequests    status 429
    │       ├── ServerError        status 5xx
    │       └── UnexpectedStatus   any other status, redirects included
    ├── TaskError                  about the tasks that a mutation started
    │   ├── TaskFailed             the task ended as FAILED
    │   ├── TaskTimeout            tasks were still running after the time-out     (TimeoutError)
    │   ├── TaskNotFound           the server does not list the task
    │   ├── UnknownTaskStatus      the task stays in a status that this package does not know
    │   ├── SettleTimeout          the tasks ended, but the resources still change (TimeoutError)
    │   └── ReadBackFailed         the mutation was accepted, but its result could not be read
    ├── UploadError                about an upload
    │   ├── UploadInterrupted      a chunk could not be delivered; the upload can be resumed
    │   ├── UploadFailed           the upload failed and has to start again
    │   ├── UploadTimeout          everything was sent, but no result came in time (TimeoutError)
    │   └── SourceChanged          the size of the file changed during the upload
    ├── ConditionError             resources did not meet a condition
    │   ├── ConditionFailed        fail_if was true, or a resource no longer matches the filter
    │   └── ConditionTimeout       resources did not meet the condition in time    (TimeoutError)
    ├── JobLocked                  another process runs the job; nothing was done
    ├── LeaseLost                  the lock of a job expired while the job was running
    ├── EffectMissing              a mutation was executed, but its effect cannot be found
    ├── LockTimeout                other asyncio tasks hold the lock for too long (TimeoutError)
    ├── NoChangeFeed               no change feed on the server, or no credential in the session
    ├── Resync                     changes were missed: read the resources again
    └── TasksFailed                one or more of several tasks failed              (ExceptionGroup)

A built-in exception in parentheses is a further base class.

``str(error)`` is one line. It has a description of the error, the server's message, the operation
and the server's address, and the next step for the user.
"""

from __future__ import annotations

from .base import (
    CloudtowerError,
    EmptyFilter,
    InvalidInput,
    InvalidSettings,
    LockTimeout,
    SessionClosed,
)
from .calls import (
    Ambiguous,
    BadRequest,
    CallError,
    CallTimeout,
    ConnectionFailed,
    CredentialsUnavailable,
    Forbidden,
    GraphQLError,
    LockedResource,
    LoginFailed,
    MultipleActive,
    MutationTimeout,
    NameNotResolved,
    NoActive,
    NotFound,
    OutcomeUnknown,
    PagingFailed,
    ProxyFailed,
    ProxyRefused,
    ResourceLocked,
    ResponseDecodeError,
    ServerError,
    SetChanged,
    StatusError,
    TLSFailed,
    TooManyRequests,
    Unauthorized,
    UnexpectedStatus,
)
from .changes import NoChangeFeed, Resync
from .conditions import ConditionError, ConditionFailed, ConditionTimeout
from .jobs import EffectMissing, JobLocked, LeaseLost
from .modes import MutationRefused, PlanEnded
from .tasks import (
    ReadBackFailed,
    SettleTimeout,
    TaskError,
    TaskFailed,
    TaskNotFound,
    TasksFailed,
    TaskTimeout,
    UnknownTaskStatus,
)
from .uploads import (
    SourceChanged,
    UploadError,
    UploadFailed,
    UploadInterrupted,
    UploadState,
    UploadTimeout,
)

__all__ = [
    "Ambiguous",
    "BadRequest",
    "CallError",
    "CallTimeout",
    "CloudtowerError",
    "ConditionError",
    "ConditionFailed",
    "ConditionTimeout",
    "ConnectionFailed",
    "CredentialsUnavailable",
    "EffectMissing",
    "EmptyFilter",
    "Forbidden",
    "GraphQLError",
    "InvalidInput",
    "InvalidSettings",
    "JobLocked",
    "LeaseLost",
    "LockTimeout",
    "LockedResource",
    "LoginFailed",
    "MultipleActive",
    "MutationRefused",
    "MutationTimeout",
    "NameNotResolved",
    "NoActive",
    "NoChangeFeed",
    "NotFound",
    "OutcomeUnknown",
    "PagingFailed",
    "PlanEnded",
    "ProxyFailed",
    "ProxyRefused",
    "ReadBackFailed",
    "ResourceLocked",
    "ResponseDecodeError",
    "Resync",
    "ServerError",
    "SessionClosed",
    "SetChanged",
    "SettleTimeout",
    "SourceChanged",
    "StatusError",
    "TLSFailed",
    "TaskError",
    "TaskFailed",
    "TaskNotFound",
    "TaskTimeout",
    "TasksFailed",
    "TooManyRequests",
    "Unauthorized",
    "UnexpectedStatus",
    "UnknownTaskStatus",
    "UploadError",
    "UploadFailed",
    "UploadInterrupted",
    "UploadState",
    "UploadTimeout",
]
