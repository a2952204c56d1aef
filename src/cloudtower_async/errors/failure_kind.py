"""Kinds of failure: each error of a call has one, and `retry.classify` decides by the kind."""

from __future__ import annotations

from enum import StrEnum


class FailureKind(StrEnum):
    """Kind of failure, which decides about retries."""

    NO_CONNECTION = "no connection, or no active node in a pair"
    TLS_FAILED = "TLS failed: the certificate was refused, or the server does not speak TLS"
    PROXY_REFUSED = "the proxy wants credentials, or its rules forbid the connection"
    CUT_OFF = "the connection broke before the end of the response"
    NO_RESPONSE = "no complete response in time"
    PASSIVE = "the node is the passive one of a pair"
    MAYBE_PASSIVE = "the only address redirects: it may be a passive node"
    NO_CREDENTIALS = "the function passed as `credentials` raised an exception"
    LOGGED_OUT = "the token is invalid or has expired"
    LOCKED = "another task holds the resource (`ResourceLocked`)"
    TOO_MANY = "rate limit of the server"
    NOT_ACCEPTED = "the server did not accept the request on this connection"
    UNAVAILABLE = "the server, or a proxy in front of it, was unavailable or too slow"
    FAILED = "the server failed"
    UNREADABLE = "a success whose response cannot be decoded"
    REFUSED = "the server refused the request, or refused the login"
    UNEXPECTED = "a status that does not tell whether the request was executed"
