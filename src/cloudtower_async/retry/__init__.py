"""Retry policy: whether and when a failed request is resent. This package does no I/O."""
