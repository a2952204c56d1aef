"""Retry policy: whether and when a failed request is resent. Pure: no I/O."""
