"""The documentation is true: its code runs, its tables agree with the code."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
import time
from types import FunctionType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import pandas  # noqa: F401 # pyright: ignore[reportUnusedImport] - reads files
import prometheus_client  # noqa: F401 # pyright: ignore[reportUnusedImport] - reads files
import pytest

from cloudtower_async import Cloudtower, SessionOptions, errors
from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.testing import Simulator
from tests.cli.command import run as run_command
from tests.pages import (
    DOCS,
    NAMED,
    PAGES,
    PROGRAM,
    README,
    REFERENCE,
    ROOT,
    TESTS,
    VENDOR,
    Block,
    blocks,
    dead_links,
)
from tests.support import set_login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

VARIABLES = re.compile(r"CLOUDTOWER_[A-Z_]+")


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, object]]:
    """Names that the code of a page uses: a server, its credentials, and a session."""
    # Global settings of a page end with it.
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", None)
    monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", None)
    async with Simulator() as simulator:
        for variable in filter(VARIABLES.fullmatch, list(os.environ)):
            monkeypatch.delenv(variable)
        set_login_variables(monkeypatch, simulator)
        async with Cloudtower.from_env() as tower:
            yield {
                "__name__": "__main__",
                "endpoint": simulator.url,
                "username": simulator.username,
                "password": simulator.password,
                "tower": tower,
            }


@pytest.fixture
async def vendors_names(tmp_path: Path) -> AsyncIterator[dict[str, object]]:
    """Names that the code for both clients uses: the addresses of a pair, credentials, a file."""
    iso = tmp_path / "tools.iso"
    iso.write_bytes(bytes(9_000_000))
    async with Simulator(standby=True, task_duration=0) as simulator:
        first, second = (node.url for node in simulator.nodes)
        yield {
            "endpoint": first,
            "first": first,
            "second": second,
            "username": simulator.username,
            "password": simulator.password,
            "iso": iso,
        }


async def run(block: Block, names: dict[str, object]) -> None:
    """Run a block as the body of a coroutine. Names that the block defines are added to `names`."""
    code = compile(
        "\n" * block.line + block.text,  # for tracebacks: the line of the page
        block.page,
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        dont_inherit=True,
    )
    function = FunctionType(code, names)
    if PROGRAM.search(block.text):  # with its own event loop
        await anyio.to_thread.run_sync(function)
    elif code.co_flags & inspect.CO_COROUTINE:
        await function()
    else:
        function()


def run_blocking(block: Block, names: dict[str, object]) -> None:
    """Run a block of the vendor's client, which blocks."""
    code = compile("\n" * block.line + block.text, block.page, "exec", dont_inherit=True)
    FunctionType(code, names)()


def run_tests(page: Path, folder: Path) -> None:
    """Run the test modules on a page. The page can also contain modules that the tests import."""
    files: list[str] = []
    for block in blocks(page, "python"):
        if named := NAMED.match(block.text):
            (folder / named[1]).write_text(block.text, encoding="utf-8")
        if TESTS.search(block.text):
            file = folder / f"test_line_{block.line}.py"
            file.write_text(block.text, encoding="utf-8")
            files.append(str(file))
    command = [sys.executable, "-m", "pytest", "-q", "-ra", f"--rootdir={folder}", *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr


RUN = [page for page in PAGES if page != VENDOR and blocks(page, "python")]
TESTED = [page for page in RUN if any(TESTS.search(one.text) for one in blocks(page, "python"))]


@pytest.mark.anyio
@pytest.mark.parametrize("page", RUN, ids=page_id)
async def test_the_code_of_a_page_runs_in_its_order(page: Path, names: dict[str, object]) -> None:
    for block in blocks(page, "python"):
        if not TESTS.search(block.text) and not NAMED.match(block.text):
            await run(block, names)


@pytest.mark.subprocess
@pytest.mark.parametrize("page", TESTED, ids=page_id)
def test_the_tests_on_a_page_pass(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if "fastapi.testclient" in text:
        pytest.importorskip("httpx2")
    if re.search(r"pytest_asyncio|mark\.asyncio", text):
        pytest.importorskip("pytest_asyncio")
    run_tests(page, tmp_path)


@pytest.mark.anyio
async def test_both_sides_of_the_page_for_users_of_the_vendors_client_run(
    vendors_names: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cloudtower")
    # It sleeps 5 s after each look at tasks, also when all have ended.
    impatient = SimpleNamespace(time=time.time, sleep=float)
    monkeypatch.setattr("cloudtower.utils.time", impatient)
    ours, theirs = dict(vendors_names), dict(vendors_names)
    for block in blocks(VENDOR, "py", "python"):
        if block.language == "py":
            await anyio.to_thread.run_sync(run_blocking, block, theirs)
        else:
            await run(block, ours)


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("app.py", "fastapi_app.py"),
        ("server_shutdown.py", "server_shutdown.py"),
        ("streams.py", "fastapi_streams.py"),
    ],
)
def test_an_app_on_its_page_is_the_example(name: str, example: str) -> None:
    [app] = [
        block
        for block in blocks(DOCS / "fastapi.md", "python")
        if block.text.startswith(f"# {name}\n")
    ]
    text = (ROOT / "examples" / example).read_text(encoding="utf-8")
    _, start, code = text.partition("from __future__")
    code = re.sub(r"  # noqa: .*", "", start + code).replace("from .server", "from server")
    assert app.text == f"# {name}\n{code}"


@pytest.mark.anyio
async def test_an_app_with_an_unentered_session_reports_whether_the_tower_is_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("httpx2")
    testclient = pytest.importorskip("fastapi.testclient")
    page = blocks(DOCS / "fastapi.md", "python")
    [block] = [one for one in page if "/readyz" in one.text and not NAMED.match(one.text)]
    names: dict[str, Any] = {}
    exec(compile(block.text, str(block.page), "exec"), names)  # noqa: S102

    def ask() -> list[int]:
        with testclient.TestClient(names["app"]) as client:
            return [client.get("/readyz").status_code for _ in range(2)]

    async with Simulator() as simulator:
        set_login_variables(monkeypatch, simulator)
        simulator.faults.fail("/api/healthz", status=500)
        assert await anyio.to_thread.run_sync(ask) == [503, 200]
        assert simulator.sent("login") == []


@pytest.mark.anyio
async def test_the_status_url_reports_running_ended_failed_and_missing_tasks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    httpx2 = pytest.importorskip("httpx2")
    [block] = [one for one in blocks(DOCS / "tasks.md", "python") if "/jobs" in one.text]
    names: dict[str, Any] = {}
    exec(compile(block.text, str(block.page), "exec"), names)  # noqa: S102
    async with Simulator(vms=0, task_duration=1e6) as simulator:
        set_login_variables(monkeypatch, simulator)
        vms = [simulator.add_vm(status="STOPPED")["id"] for _ in range(3)]
        async with names["lifespan"](names["app"]) as state:
            tower = state["tower"]

            async def app(scope: dict[str, Any], receive: object, send: object) -> None:
                await names["app"]({**scope, "state": state}, receive, send)

            transport = httpx2.ASGITransport(app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://app") as client:

                async def start(vm_id: str) -> str:
                    answer = await client.post(f"/vms/{vm_id}/start")
                    assert answer.status_code == 202
                    location: str = answer.headers["location"]
                    return location

                async def told(location: str) -> str:
                    answer: dict[str, str] = (await client.get(location)).json()
                    return answer["state"]

                names["WAIT"] = 0.2
                running = await start(vms[0])
                assert await told(running) == "running"
                simulator.clock.advance(1e6)
                assert await told(running) == "done"

                simulator.tasks.fail_next()
                failed = await start(vms[1])
                simulator.clock.advance(1e6)
                assert await told(failed) == "failed"

                gone = await start(vms[2])
                [task] = await tower.task.get_tasks(where={"resource_id": vms[2]})
                simulator.store.remove("Task", task.id)
                assert await told(gone) == "running"  # a new one may be shown late
                stored = names["stored"]
                stored[gone.rpartition("/")[2]] = stored[gone.rpartition("/")[2]]._replace(began=0)
                assert await told(gone) == "unknown"
                assert (await client.get("/jobs/other")).status_code == 404


@pytest.mark.subprocess
def test_the_program_with_faults_prints_its_endpoint() -> None:
    [block] = [block for block in blocks(DOCS / "testing.md", "python") if "# fl" in block.text]
    text = block.text.replace("port=8081", "port=0")
    command = [sys.executable, "-c", text]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:  # noqa: S603
        assert program.stdout
        told = [program.stdout.readline().split("=")[0] for _ in range(3)]
        program.kill()
    assert told == [f"export CLOUDTOWER_{name}" for name in ("ENDPOINT", "USERNAME", "PASSWORD")]


@pytest.mark.parametrize("section", ["Run it", "Test it"])
def test_the_readme_has_one_line_to_run_and_one_to_test(section: str) -> None:
    sections = re.split(r"^## ", README.read_text(encoding="utf-8"), flags=re.MULTILINE)
    [text] = [text for text in sections if text.startswith(f"{section}\n")]
    [block] = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(block.splitlines()) == 1


def test_only_these_two_are_sh_blocks() -> None:
    assert len(blocks(README, "sh")) == 2


@pytest.mark.parametrize("page", [README, ROOT / "CHANGELOG.md"], ids=page_id)
def test_the_number_of_operations_is_right(page: Path) -> None:
    told = re.findall(r"(\d+) operations", page.read_text(encoding="utf-8"))
    assert told == [str(len(OPERATIONS))]


def test_the_errors_page_lists_every_task_error() -> None:
    text = (DOCS / "errors.md").read_text(encoding="utf-8")
    wanted: list[type] = [errors.TasksFailed, *errors.TaskError.__subclasses__()]
    assert all(f"`{error.__name__}`\n:" in text for error in wanted)


def test_the_errors_page_draws_the_tree() -> None:
    drawn = inspect.cleandoc((errors.__doc__ or "").split("\n\n")[1])
    assert f"{drawn}\n" in [block.text for block in blocks(DOCS / "errors.md", "text")]


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_pages_mention_what_only_the_built_site_contains(page: Path) -> None:
    written = re.findall(
        r"^```\{planned-answers\}\n(.*?)^```$",
        page.read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    assert all("`nox -s docs`" in text for text in written)


def test_every_error_stands_in_the_tree() -> None:
    drawn = set(re.findall(r"\b[A-Z]\w+", errors.__doc__ or ""))
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.CloudtowerError)
    }
    assert defined <= drawn


def test_the_settings_page_lists_every_option() -> None:
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    table = text.partition("| option |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines()[2:]]
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(listed) == sorted(["endpoint", *SessionOptions.__annotations__])


def test_the_settings_page_lists_every_environment_variable() -> None:
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    told = VARIABLES.findall(Cloudtower.from_env.__doc__ or "")
    assert set(VARIABLES.findall(text)) == set(told)


def options(text: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z-]*", text)) - {"--help"}


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("command", "pages"),
    [
        ("dashboard", [DOCS / "dashboard.md", README]),
        ("simulate", [DOCS / "testing.md"]),
        ("task wait", [DOCS / "tasks.md"]),
        ("upload", [DOCS / "uploads.md"]),
        ("metrics", [DOCS / "metrics.md"]),
    ],
    ids=["dashboard", "simulate", "task wait", "upload", "metrics"],
)
def test_a_command_knows_every_option_of_its_page(command: str, pages: list[Path]) -> None:
    told = options("".join(page.read_text(encoding="utf-8") for page in pages))
    known = run_command(*command.split(), "--help").stdout
    assert told
    assert told <= options(known)


@pytest.mark.parametrize("page", [*PAGES, *REFERENCE], ids=page_id)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    assert dead_links(page) == []
