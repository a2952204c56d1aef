"""Types of the options of a session. Not run; see `calls.py`."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from cloudtower_async import Cloudtower, RetryPolicy

if TYPE_CHECKING:
    from typing import Unpack

    from cloudtower_async import SessionOptions


def options() -> None:
    """Each option has its name and type."""
    tower = Cloudtower("tower.example", token="t", timeout=5, retry=RetryPolicy(attempts=1))
    assert_type(tower, Cloudtower)
    assert_type(Cloudtower.from_env(endpoint="tower.example", source="LDAP"), Cloudtower)
    Cloudtower(["a.example", "b.example"], failover="manual", client_cert=("cert.pem", "key.pem"))

    Cloudtower("tower.example", usrname="root")  # type: ignore[call-arg]
    Cloudtower("tower.example", timeout="5")  # type: ignore[arg-type]
    Cloudtower("tower.example", source="local")  # type: ignore[arg-type]
    Cloudtower(token="t")  # type: ignore[call-arg]
    Cloudtower.from_env(usrname="root")  # type: ignore[call-arg]


def passed_on(endpoint: str, **options: Unpack[SessionOptions]) -> Cloudtower:
    """A function can pass the options on with their types."""
    return Cloudtower(endpoint, **options)


passed_on("tower.example", token="t", verify_tls=False)
passed_on("tower.example", verify="no")  # type: ignore[call-arg]
