"""Exceptions that this package raises.

    CloudtowerError
    ├── InvalidSettings            endpoint, credentials, TLS files: names the option   (ValueError)
    ├── InvalidInput               arguments that cannot be sent                        (ValueError)
    │   └── EmptyFilter            a filter that may match everything, in a mutation
    ├── MutationRefused            a mutation in a read-only session; nothing was sent
    ├── PlanEnded                  the next step depends on a mutation that was only planned
    ├── SessionClosed              the session is closed, or belongs to another event loop
    ├── CallError                  about one call
    │   ├── ConnectionFailed       no connection, reset, cut off                   (ConnectionError)
    │   │   ├── NameNotResolved    the host name has no address
    │   │   ├── TLSFailed          the certificate was rejected, or the server has no TLS
    │   │   ├── ProxyFailed        the proxy or the server behind it was not reached
    │   │   │   └── ProxyRefused   the proxy requires credentials or forbids the server
    │   │   ├── NoActive           no node of a pair is active
    │   │   └── MultipleActive     more than one node of a pair is active
    │   ├── CredentialsUnavailable the function passed as credentials= failed
    │   ├── CallTimeout            no complete answer in time                         (TimeoutError)
    │   ├── ResponseDecodeError    not JSON, empty, HTML, truncated, of a wrong type
    │   │   └── PagingFailed       the pages of a result set cannot be read to the end
    │   ├── GraphQLError           the answer to a GraphQL request has errors
    │   ├── OutcomeUnknown         it may or may not have been executed; not retried
    │   │   └── MutationTimeout    no answer in time; also a CallTimeout              (TimeoutError)
    │   ├── Ambiguous              several resources match instead of one             (LookupError)
    │   ├── SetChanged             the result set changed too much between pages to continue
    │   └── StatusError            the server answered with an error status
    │       ├── BadRequest         400
    │       │   └── ResourceLocked 400, another task holds the resource
    │       ├── Unauthorized       401
    │       │   └── LoginFailed    the credentials were rejected
    │       ├── Forbidden          403
    │       ├── NotFound           404, or no resource matches                        (LookupError)
    │       ├── TooManyRequests    429
    │       ├── ServerError        5xx
    │       └── UnexpectedStatus   any other, redirects included
    ├── TaskError
    │   ├── TaskFailed             the task ended as FAILED
    │   ├── TaskTimeout            tasks still ran after the time-out                (TimeoutError)
    │   ├── TaskNotFound           the server does not know the task
    │   ├── UnknownTaskStatus      the task stays in a status that this version does not know
    │   ├── SettleTimeout          the tasks ended, but the resources still change   (TimeoutError)
    │   └── ReadBackFailed         the mutation was accepted, but its result could not be read
    ├── UploadError                about an upload
    │   ├── UploadInterrupted      a chunk could not be delivered; the upload can be resumed
    │   ├── UploadFailed           ended by the server, cancelled, or its state is unknown
    │   ├── UploadTimeout          everything was sent, but no result came in time   (TimeoutError)
    │   └── SourceChanged          the size of the file changed during the upload
    ├── ConditionError             resources did not meet a condition
    │   ├── ConditionFailed        a resource was deleted, or fail_if was true for it
    │   └── ConditionTimeout       not in time                                      (TimeoutError)
    ├── JobLocked                  another process runs the job; nothing was done
    ├── LeaseLost                  the lock of a job expired while the job was running
    ├── EffectMissing              a mutation was executed, but its effect cannot be found
    ├── LockTimeout                other tasks of this process hold the lock          (TimeoutError)
    ├── NoChangeFeed               the server has no change feed, or its credential is missing
    ├── Resync                     the change feed has forgotten changes: list again
    └── TasksFailed                one or more of several tasks failed            (ExceptionGroup)

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
