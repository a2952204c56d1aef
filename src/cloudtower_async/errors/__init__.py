"""Everything that can be raised.

    CloudtowerError
    ├── InvalidSettings            endpoint, credentials, TLS files: names the option   (ValueError)
    ├── InvalidInput               arguments that cannot be sent                        (ValueError)
    │   └── EmptyFilter            a filter that may match everything, in a mutation
    ├── MutationRefused            a mutation in a read-only session; nothing was sent
    ├── PlanEnded                  what follows depends on a mutation that was only planned
    ├── SessionClosed              the session is closed, or of another event loop
    ├── CallError                  about one call
    │   ├── ConnectionFailed       no connection, reset, cut off                   (ConnectionError)
    │   │   ├── NameNotResolved    the host name has no address
    │   │   ├── TLSFailed          the certificate was refused, or TLS not spoken
    │   │   ├── ProxyFailed        the proxy is not reached, or does not reach the server
    │   │   │   └── ProxyRefused   it wants credentials, or its rules forbid the server
    │   │   ├── NoActive           no server of a pair is the active one
    │   │   └── MultipleActive     more than one is
    │   ├── CredentialsUnavailable the function passed as credentials= raised
    │   ├── CallTimeout            no complete answer in time                         (TimeoutError)
    │   ├── ResponseDecodeError    not JSON, empty, HTML, cut off, of a wrong type
    │   │   └── PagingFailed       the pages of a result set do not lead to its end
    │   ├── GraphQLError           the answer to a GraphQL request tells of errors
    │   ├── OutcomeUnknown         it may or may not have been executed; not retried
    │   │   └── MutationTimeout    as no answer came in time: also a CallTimeout      (TimeoutError)
    │   ├── Ambiguous              several match where one is wanted                   (LookupError)
    │   ├── SetChanged             the result set changed too much between pages to continue
    │   └── StatusError            the server answered with an error status
    │       ├── BadRequest         400
    │       │   └── ResourceLocked 400, the resource is busy with something else
    │       ├── Unauthorized       401
    │       │   └── LoginFailed    the credentials were refused
    │       ├── Forbidden          403
    │       ├── NotFound           404, or nothing matches where one is wanted         (LookupError)
    │       ├── TooManyRequests    429
    │       ├── ServerError        5xx
    │       └── UnexpectedStatus   any other, redirects included
    ├── TaskError
    │   ├── TaskFailed             the task ended as FAILED
    │   ├── TaskTimeout            tasks still run at the end of the time            (TimeoutError)
    │   ├── TaskNotFound           the server does not know the task
    │   ├── UnknownTaskStatus      a status that this version does not know does not change
    │   ├── SettleTimeout          the tasks ended, but not yet the work             (TimeoutError)
    │   └── ReadBackFailed         the work was done or started, but could not be read
    ├── UploadError                about an upload
    │   ├── UploadInterrupted      a chunk could not be delivered; the upload can be resumed
    │   ├── UploadFailed           given up, cancelled, or unknown what the server has
    │   ├── UploadTimeout          everything was sent, but no result came in time   (TimeoutError)
    │   └── SourceChanged          the file became shorter or longer meanwhile
    ├── ConditionError             resources did not come to meet a condition
    │   ├── ConditionFailed        one is gone, or fail_if was true for it
    │   └── ConditionTimeout       not in time                                      (TimeoutError)
    ├── JobLocked                  another process runs the job; nothing was done
    ├── LeaseLost                  the lock of a job expired while the job was running
    ├── EffectMissing              a mutation was carried out, but its effect cannot be found
    ├── LockTimeout                others of this process hold what is to be locked  (TimeoutError)
    ├── NoChangeFeed               the server has no change feed, or no credential for it is given
    ├── Resync                     the change feed has forgotten changes: list again
    └── TasksFailed                one or more of these, of several tasks         (ExceptionGroup)

Each prints as one line: what happened, what the server said, where, and what to do next.
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
