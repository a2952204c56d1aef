"""Passwords, tokens and API keys of users."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .store.ids import Ids
    from .store.store import Store


class Accounts:
    """Passwords, tokens and API keys of the simulated server.

    Args:
        store: Store that contains the users.
        ids: Generator for new tokens.
    """

    def __init__(self, store: Store, ids: Ids) -> None:
        self.strategies: list[dict[str, str]] = []
        """Result of the GraphQL query ``authnStrategies``: ``[{"id": …, "type": "LDAP"}]``."""
        self._store = store
        self._ids = ids
        self._passwords: dict[str, str] = {}
        self._tokens: dict[str, str] = {}
        self._keys: dict[str, str] = {}

    def set_password(self, username: str, password: str) -> None:
        """Set the password of a user. The password stays valid if the user is renamed.

        Raises:
            ValueError: The user does not exist.
        """
        users = self._store.select("User", {"username": username})
        if not users:
            raise ValueError(f"there is no user {username}")
        for user in users:  # the name can exist once per source
            self._passwords[user["id"]] = password

    def log_in(self, username: str, password: str, source: str) -> str | None:
        """Return a new session token, or None if no user of this `source` has the credentials."""
        users = self._store.select("User", {"username": username, "source": source})
        if not users or self._passwords.get(users[0]["id"]) != password:
            return None
        token = self._ids.uuid()
        self._tokens[token] = users[0]["id"]
        return token

    def add_key(self, key: str, user: str) -> None:
        """Accept `key` as an API key of the user with the id `user`."""
        self._keys[key] = user

    def drop_key(self, key: str) -> None:
        """Stop accepting an API key."""
        self._keys.pop(key, None)

    def user_of(self, token: str) -> str | None:
        """Return the id of the user that an Authorization header identifies.

        If the header is invalid, return None. The header contains a token or an API key, with or
        without the prefix ``Bearer``.
        """
        token = token.removeprefix("Bearer ")  # the Terraform provider sends this form
        user = self._tokens.get(token) or self._keys.get(token)
        return user if user in self._store.table("User") else None

    def revoke_tokens(self) -> None:
        """Invalidate every session token. API keys stay valid."""
        self._tokens.clear()
