"""Types of API keys and consoles. Not run; see `calls.py`."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from cloudtower_async import ApiKey, VncTicket

if TYPE_CHECKING:
    from cloudtower_async import Cloudtower


async def keys(tower: Cloudtower) -> None:
    """Keys are typed; the answer to a GraphQL document is not."""
    key = await tower.api_keys.create("bot")
    assert_type(key, ApiKey)
    assert_type(await tower.api_keys.list(), list[ApiKey])
    await tower.api_keys.delete(key)
    await tower.api_keys.delete(key.key)
    assert_type(await tower.vnc("id"), VncTicket)
    assert_type(await tower.graphql("{ a }", {"b": 1}, timeout=1.0), dict[str, Any])


async def mistakes(tower: Cloudtower) -> None:
    """Mistakes that both checkers report."""
    await tower.vnc(5)  # type: ignore[arg-type]
    await tower.api_keys.delete(["key"])  # type: ignore[arg-type]
    await tower.graphql("{ a }", "b")  # type: ignore[arg-type]
