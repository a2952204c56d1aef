"""The queries of each resource: the one that lists, and the one that counts."""

from __future__ import annotations

from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.simulator.store.schema import resource_query

_ASKED = {path.removeprefix("/"): asked for path in OPERATIONS if (asked := resource_query(path))}

# Where two names count the same resource, the shorter one is used.
LISTS = {
    asked.resource: path
    for path, asked in sorted(_ASKED.items(), key=lambda item: -len(item[0]))
    if not asked.counts
}
COUNTS = {asked.resource: path for path, asked in _ASKED.items() if asked.counts}
