"""Passwords, tokens and API keys of users."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .store.ids import Ids
    from .store.store import Store


class Accounts:
    """Passwords and tokens of the simulated server.

    Args:
        store: Store with the users.
        ids: Generator of the tokens.
    """

    def __init__(self, store: Store, ids: Ids) -> None:
        self.strategies: list[dict[str, str]] = []
        """Strategies that GraphQL's ``authnStrategies`` lists: ``{"id": …, "type": "LDAP"}``."""
        self._store = store
        self._ids = ids
        self._passwords: dict[str, str] = {}
        self._tokens: dict[str, str] = {}
        self._keys: dict[str, str] = {}

    def set_password(self, username: str, password: str) -> None:
        """Set the password of a user, which stays valid if the user is renamed.

        Raises:
            ValueError: The user does not exist.
        """
        users = self._store.select("User", {"username": username})
        if not users:
            raise ValueError(f"there is no user {username}")
        for user in users:  # one user per source
            self._passwords[user["id"]] = password

    def log_in(self, username: str, password: str, source: str) -> str | None:
        """Return a new token, or None if the credentials are wrong."""
        users = self._store.select("User", {"username": username, "source": source})
        if not users or self._passwords.get(users[0]["id"]) != password:
            return None
        token = self._ids.uuid()
        self._tokens[token] = users[0]["id"]
        return token

    def add_key(self, key: str, user: str) -> None:
        """Accept an API key in place of a token."""
        self._keys[key] = user

    def drop_key(self, key: str) -> None:
        """Stop accepting an API key."""
        self._keys.pop(key, None)

    def user_of(self, token: str) -> str | None:
        """Return the id of the user of an Authorization header, or None if the header is invalid.

        The header holds a token or an API key, bare or after ``Bearer``.
        """
        token = token.removeprefix("Bearer ")  # the Terraform provider sends this form
        user = self._tokens.get(token) or self._keys.get(token)
        return user if user in self._store.table("User") else None

    def revoke_tokens(self) -> None:
        """Invalidate every token, as if the server had ended its sessions. API keys stay valid."""
        self._tokens.clear()
