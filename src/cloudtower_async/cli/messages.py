"""What errors and warnings say to programs, in the words of those who type."""

from __future__ import annotations

import re

_WORDS = (
    # What an option or a variable is for.
    (r"\bverify_tls=False\b", "--no-verify-tls"),
    (r"\bca_file=", "--ca-file"),
    (r"\bproxy='(http://user:password@host:port)'", r"CLOUDTOWER_PROXY=\1"),
    (r"\bproxy=", "--proxy"),
    (r"\bauth_config_id=", "--auth-config-id"),
    (r"\btrust_env=True\b", "--trust-env"),
    (r"\bpass (a new )?token=", r"set \1CLOUDTOWER_TOKEN"),
    (r"\btoken=", "CLOUDTOWER_TOKEN"),
    (r"\busername=", "--username"),
    (r"\bpassword=", "CLOUDTOWER_PASSWORD"),
    (r"\bresume=error\.state", "--resume"),
    (r"\bresume=", "--resume"),
    (r"\bpass the same kind=", "pass the same --kind"),
    (r"\bpass a smaller chunk_size=, or raise", "raise"),
    (r"\bmissing_ok=True\b", "--missing-ok"),
    (r"\bclusters=", "--cluster"),
    (r"\bpass EVERYTHING\b", "pass --everything"),
    (r"\btower\.\w+\.get_(\w+)", r"`get \1`"),
    # What is waited for can be waited for by every command, but not every one has the option.
    (
        r"\bwait again, with a longer timeout= if need be",
        "wait again with `tasks wait`, and a longer --timeout if need be",
    ),
    (r"\bopen a new session, or\b", "log in with `cloudtower-async login`, or"),
    (r"\ba session logs in again by itself", "a command logs in by itself"),
    # What no command has an option for.
    (r"\bPass a longer (read_)?timeout= if .*? one\.", "Try again later, or ask for less."),
    (r"\bPass a longer timeout=, call less at a time, or\b", "Try again later, or"),
    (r" \(first= or page_size=, a narrower where=\), or pass a larger max_response_bytes=", ""),
    (r" \(max_connections=, max_in_flight=, rate_limit=\)", ""),
    (r"; connect_timeout= is the time for it", ""),
    (r", and client_cert=", ""),
    (r", and a session with validate=False sends the call without it", ""),
    (r" ?If the server requires a client certificate, pass client_cert=\.", ""),
    (r" ?The server may have refused the client certificate \(client_cert=\)\.", ""),
    (
        r"\bPass a certificate .*?client_cert=\.",
        "The command line has no option for one; use the package from Python.",
    ),
    (r"; until then pass an ssl_context= with a lower minimum_version", ""),
    (r"(?<=--resume to wait on, and a longer )timeout=", "--timeout"),
    (r"; of a stream, check size=", ""),
    (r" with chunk_size=", ""),
    (r"; for an upload, pass a smaller chunk_size=", ""),
)
"""What to look for, and what is said here instead. A name with a value is somebody's own text."""

_PATTERNS = [(re.compile(rf"{sought}(?![\w'\"])"), said) for sought, said in _WORDS]


def for_the_command(text: str) -> str:
    """The text of an error or a warning of the package, as the command line says it."""
    for pattern, said in _PATTERNS:
        text = pattern.sub(said, text)
    return text
