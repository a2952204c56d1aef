"""Errors of jobs. A job locks out other processes, and runs each mutation only once."""

# ruff: noqa: N818 - names without "Error" read well: `except JobLocked`
from __future__ import annotations

from .base import CloudtowerError


class JobLocked(CloudtowerError):
    """Another process holds the lock of this job. The job did not run.

    Attributes:
        name: Name of the lock.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def _describe(self) -> str:
        return (
            f"job {self.name!r} is locked by another run. Wait until that run has ended; the lock "
            "of a run that crashed expires by itself."
        )


class LeaseLost(CloudtowerError):
    """The lock of a job expired while the job was running, so the job was cancelled.

    Attributes:
        name: Name of the lock.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def _describe(self) -> str:
        return (
            f"the lock {self.name!r} was lost: it could not be renewed in time, and another "
            "process may hold it now. The work under it was cancelled; run it again."
        )


class EffectMissing(CloudtowerError):
    """An earlier run of a job executed a mutation, but the mutation's effect cannot be found.

    The mutation was not sent again.

    Attributes:
        key: Key of the mutation in the journal of the job.
    """

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def _describe(self) -> str:
        return (
            f"{self.key}: the server has carried out the mutation, but its effect cannot be "
            "found: something else may have undone it. To do it again, call forget() of the "
            "journal with this key first."
        )
