"""No secret of a session is ever shown, in all of its states and errors.

Places that may show a secret: log records of all libraries at DEBUG, lists of exchanges, spans,
errors with their causes and the variables of frames, reprs, and pickles.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import traceback
from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

import anyio
import pytest
from aiohttp import web
from opentelemetry.instrumentation.aiohttp_client import create_trace_config

from cloudtower_async import Cloudtower, CloudtowerError, RetryPolicy, record_exchanges
from cloudtower_async.simulator.faults import EVERY_FAULT
from cloudtower_async.testing import Simulator
from tests.support import is_login, login_answer, serve, settings, unused_port

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

pytestmark = pytest.mark.anyio

Call: TypeAlias = "Callable[[], Awaitable[object]]"

PASSWORD = 'planted-"pässword'
WRONG = "planted-wrong-password"
TOKEN = "planted-token"
KEY = "planted-api-key"
FEED = "planted-feed-password"
HEADER = "planted-header"
IN_ARGUMENTS = {
    "cloud-init password": "planted-cloud-init-password",
    "cloud-init data": "planted\n#cloud-config: planted-user-data",
    "user": "planted-password-of-a-new-user",
    "login": 'planted-\\"login" password',
    "snmp": "planted-community",
    "nested": "planted-env",
}
ATTEMPTS = RetryPolicy(attempts=2, backoff=1e-6, budget=10_000)


class Emitted:
    """Output so far, and the secrets that must not appear in it."""

    def __init__(self, caplog: pytest.LogCaptureFixture, spans: InMemorySpanExporter) -> None:
        self.secrets = {PASSWORD, WRONG, TOKEN, KEY, FEED, HEADER, *IN_ARGUMENTS.values()}
        self.texts: list[str] = []
        self._caplog = caplog
        self._spans = spans

    def error(self, error: BaseException, *, frames: bool = False) -> None:
        report = traceback.TracebackException.from_exception(error, capture_locals=frames)
        self.texts += report.format()
        chain: BaseException | None = error
        while chain is not None:
            self.texts += [str(chain), repr(chain), repr(vars(chain)), repr(chain.args)]
            chain = chain.__cause__ or chain.__context__
        pickled: BaseException = pickle.loads(pickle.dumps(error))  # noqa: S301
        self.texts += [repr(vars(pickled)), repr(copy.copy(error))]

    def leaks(self) -> set[str]:
        texts = list(self.texts)
        for record in self._caplog.get_records("call"):
            texts += [record.getMessage(), repr(vars(record))]
        texts += [str(span.to_json()) for span in self._spans.get_finished_spans()]
        everything = "\n".join(texts)
        return {secret for secret in self.secrets if any(s in everything for s in spelt(secret))}


def spelt(secret: str) -> set[str]:
    """Return the ways in which a text may show a secret."""
    once = {secret, secret.partition("\n")[2] or secret, repr(secret)[1:-1], quote(secret, safe="")}
    once |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    encoded = b64encode(f"feed:{secret}".encode()).decode()
    return {*once, *(json.dumps(one)[1:-1] for one in once), encoded}


@pytest.fixture
def emitted(caplog: pytest.LogCaptureFixture, exporter: InMemorySpanExporter) -> Iterator[Emitted]:
    caplog.set_level(logging.DEBUG)
    for name in ("cloudtower_async", "aiohttp", "asyncio"):
        caplog.set_level(logging.DEBUG, name)
    emitted = Emitted(caplog, exporter)
    yield emitted
    assert any(record.name == "cloudtower_async" for record in caplog.get_records("call"))
    assert exporter.get_finished_spans()
    assert not emitted.leaks()


@pytest.fixture
async def sim() -> AsyncGenerator[Simulator]:
    async with Simulator(vms=3, seed=1, username="root", password=PASSWORD) as simulator:
        yield simulator


def session(url: str, **options: Any) -> Cloudtower:  # noqa: ANN401 - those of a session
    if not {"token", "credentials"} & options.keys():
        options = {"username": "root", "password": PASSWORD, **options}
    return Cloudtower(
        url,
        retry=ATTEMPTS,
        headers={"x-key": HEADER},
        change_feed=("feed", FEED),
        trace_configs=[create_trace_config()],
        **options,
    )


async def attempt(emitted: Emitted, call: Call, *, frames: bool = False) -> None:
    """Make a call and record its error, if any."""
    with record_exchanges() as exchanges:
        try:
            await call()
        except CloudtowerError as error:
            emitted.error(error, frames=frames)
    emitted.texts.append(repr(exchanges))


def with_secrets(tower: Cloudtower, template: str = "t", cluster: str = "c") -> list[Call]:
    """Return calls with secrets in their arguments; the last two are never sent."""
    cloud_init = {
        "default_user_password": IN_ARGUMENTS["cloud-init password"],
        "user_data": IN_ARGUMENTS["cloud-init data"],
        "hostname": "shown",
    }
    vm: Any = {"template_id": template, "name": "new", "cloud_init": cloud_init}
    vm |= {"cluster_id": cluster, "is_full_copy": False}
    text: Any = {**vm, "cloud_init": IN_ARGUMENTS["cloud-init password"]}
    misspelt: Any = {**vm, "cloud_init": {**cloud_init, "user_dat": IN_ARGUMENTS["snmp"]}}
    user: Any = {"name": "n", "username": "n", "role_id": "r", "password": IN_ARGUMENTS["user"]}
    snmp = {"community": IN_ARGUMENTS["snmp"], "env": [{"value": IN_ARGUMENTS["nested"]}]}
    create = tower.vm.create_vm_from_content_library_template
    return [
        partial(create, [vm]),
        partial(tower.user.create_user, [user]),
        partial(tower.user.login, username="root", password=IN_ARGUMENTS["login"]),
        partial(tower.request, "/create-snmp-transport", [snmp]),
        partial(create, [text]),
        partial(create, [misspelt]),
    ]


async def test_calls_that_succeed_or_fail_with_every_fault(
    sim: Simulator, emitted: Emitted
) -> None:
    async with session(sim.url, timeout=0.2) as tower:
        templates = await tower.content_library_vm_template.get_content_library_vm_templates()
        cluster = (await tower.cluster.get_clusters())[0].id
        calls = with_secrets(tower, templates[0].id, cluster)
        for call in calls:
            await attempt(emitted, call)
        for fault in EVERY_FAULT:
            sim.faults.at_random(1.0, [fault])
            await attempt(emitted, tower.vm.get_vms, frames=True)
            for call in calls[:4]:
                await attempt(emitted, call)
            sim.faults.clear()
        assert len(sim.sent("create-vm-from-content-library-template")) > len(EVERY_FAULT) / 2
        assert len(sim.sent("create-user")) > len(EVERY_FAULT) / 2
        emitted.texts += [repr(tower), repr(vars(tower))]


async def test_logins(sim: Simulator, emitted: Emitted) -> None:
    async def vault() -> tuple[str, str]:
        return "root", PASSWORD

    async def broken_vault() -> str:
        raise LookupError("closed")

    nowhere = f"http://127.0.0.1:{unused_port()}"
    ways: list[tuple[str, dict[str, Any]]] = [
        (sim.url, {}),
        (sim.url, {"password": WRONG}),
        (sim.url, {"source": "LDAP"}),
        (sim.url, {"token": TOKEN}),
        (sim.url, {"credentials": vault}),
        (nowhere, {}),
        (nowhere, {"token": KEY}),
        ("http://tower.invalid", {}),
    ]
    for url, options in ways:
        tower = session(url, **options)
        await attempt(emitted, tower.open, frames=True)
        await attempt(emitted, tower.vm.get_vms, frames=True)
        await attempt(emitted, tower.resource_change.get_resource_changes, frames=True)
        sim.faults.fail("get-vms", status=401)
        await attempt(emitted, tower.vm.get_vms, frames=True)
        sim.faults.clear()
        emitted.texts += [repr(tower), repr(vars(tower))]
        await tower.close()
    tower = session(sim.url, credentials=broken_vault)
    await attempt(emitted, tower.open, frames=True)
    await tower.close()


async def test_a_server_that_echoes_everything(emitted: Emitted) -> None:
    async def echo(request: web.Request) -> web.Response:
        if is_login(request):
            return login_answer(TOKEN)
        heard = [await request.text(), *request.headers.values()]
        body = {"message": " ".join(heard), "props": heard, "error": heard[0]}
        status = {0: 400, 1: 200, 2: 500}[len(heard[0]) % 3]
        if len(heard[0]) % 2:
            return web.Response(text=json.dumps(body)[:-3], status=status)
        return web.json_response(body, status=status)

    async with serve(echo) as url, session(url) as tower:
        for call in with_secrets(tower):
            await attempt(emitted, call)
        for filler in range(6):
            await attempt(emitted, partial(tower.vm.get_vms, where={"name": "n" * filler}))


async def test_consoles_keys_and_the_change_feed(sim: Simulator, emitted: Emitted) -> None:
    async with session(sim.url) as tower:
        vm = sim.add_vm(status="RUNNING")["id"]
        info = await tower.vm.get_vm_vnc_info(vm={"id": vm})
        ticket = await tower.vnc(vm)
        key = await tower.api_keys.create("bot")
        emitted.secrets |= {
            key.key,
            *(
                str(url).partition("token=")[2].partition("&")[0]
                for url in (info.direct, info.redirect)
            ),
            *(
                url.partition("token=")[2].partition("&")[0]
                for url in (ticket.direct, ticket.proxied)
            ),
        }
        emitted.texts += [repr(ticket), repr(key), repr(await tower.api_keys.list())]
        await tower.api_keys.delete(key)
        await attempt(emitted, partial(tower.api_keys.delete, key))
        for fault in EVERY_FAULT[:4]:
            sim.faults.at_random(1.0, [fault])
            await attempt(emitted, lambda: tower.vm.get_vm_vnc_info(vm={"id": vm}), frames=True)
            sim.faults.clear()
        await attempt(emitted, tower.resource_change.get_resource_changes, frames=True)


async def test_uploads_time_outs_and_cancellation(sim: Simulator, emitted: Emitted) -> None:
    content = "planted-content-of-a-file"
    emitted.secrets.add(content)
    async with session(sim.url) as tower:
        cluster = (await tower.cluster.get_clusters())[0].id
        for fault in (None, *EVERY_FAULT[:3]):
            sim.faults.at_random(float(fault is not None), [fault] if fault else [])
            await attempt(
                emitted,
                lambda: tower.ovf.upload_elf_file(
                    file=io.BytesIO(content.encode()),
                    name="shown",
                    size=str(len(content)),
                    cluster_id=cluster,
                    timeout=0.2,
                ),
            )
        sim.faults.clear()
        sim.faults.hang("get-vms", times=2)
        await attempt(emitted, lambda: tower.vm.get_vms(timeout=0.05), frames=True)
        with anyio.move_on_after(0.05):
            await tower.vm.get_vms()
        sim.faults.hang("get-vms")
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: attempt(emitted, tower.vm.get_vms, frames=True))
            await anyio.wait_all_tasks_blocked()
            await tower.close()
    await attempt(emitted, tower.vm.get_vms, frames=True)


async def test_objects_with_secrets_are_not_pickled(sim: Simulator) -> None:
    tower = session(sim.url)
    for holder in (tower, settings()):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(holder)
    await tower.close()
