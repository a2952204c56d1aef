"""Kinds of failure of a request. For each kind, `retry.classify` decides whether to retry."""

from __future__ import annotations

from enum import StrEnum


class FailureKind(StrEnum):
    """Kind of failure of a request. The kind decides whether the request is retried."""

    NO_CONNECTION = "no connection could be made, or an active/passive pair has no active node"
    TLS_FAILED = "the certificate was rejected, or the server does not speak TLS"
    PROXY_REFUSED = "the proxy requires credentials, or its rules forbid the connection"
    CUT_OFF = "the connection broke before the end of the response"
    NO_RESPONSE = "no byte of the response arrived for `read_timeout` seconds"
    PASSIVE = "the request went to the passive node of a pair"
    MAYBE_PASSIVE = "the session has only one address, which may be a passive node"
    NO_CREDENTIALS = "the function passed as `credentials` raised an exception"
    LOGGED_OUT = "the token is invalid or has expired"
    LOCKED = "another task has locked the resource (`ResourceLocked`)"
    TOO_MANY = "the rate limit of the server was exceeded"
    NOT_ACCEPTED = "the server refused the request as misdirected or too early"
    UNAVAILABLE = "the server, or a proxy in front of it, was unavailable or too slow"
    FAILED = "the server had an internal error"
    UNREADABLE = "the server reported success, but the response cannot be decoded"
    REFUSED = "the server rejected the request or the login"
    UNEXPECTED = "the status does not tell whether the request was executed"
