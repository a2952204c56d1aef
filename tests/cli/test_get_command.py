"""``cloudtower-async get``, in a separate process and in the process of the test."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any, get_args

import anyio.to_thread
import msgspec
import pytest

from cloudtower_async import Cloudtower, InvalidInput, select_fields
from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.calls import registry
from cloudtower_async.cli import main
from cloudtower_async.cli.columns import Columns, cell, every_column
from cloudtower_async.cli.errors import UsageError
from cloudtower_async.cli.resource_names import queries, query_for
from cloudtower_async.cli.views import View, query_struct
from cloudtower_async.models import Vm
from cloudtower_async.queries.pages import query_of
from cloudtower_async.testing import Simulator
from tests.cli.command import PATIENCE, Terminal, plain, run, run_with, start
from tests.support import login_variables, set_login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

ESCAPE = "\x1b"


@pytest.fixture
async def sim(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator(clusters=2, vms=30, seed=3) as simulator:
        set_login_variables(monkeypatch, simulator)
        monkeypatch.setenv("COLUMNS", "100")
        yield simulator


async def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command ``get``, which must succeed, and return its output."""
    status = await anyio.to_thread.run_sync(main, ["get", *arguments])
    captured = capsys.readouterr()
    assert (status, captured.err) == (0, "")
    return captured.out


async def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command ``get`` with wrong arguments, and return the error message."""
    status = await anyio.to_thread.run_sync(main, ["get", *arguments])
    captured = capsys.readouterr()
    assert (status, captured.out) == (2, "")
    assert captured.err.count("\n") == 1
    return captured.err


def read(output: str, text: str) -> list[Any]:
    """Parse output as a program does, and return the parsed rows."""
    if output == "jsonl":
        return [json.loads(line) for line in text.splitlines()]
    rows: list[Any] = json.loads(text) if output == "json" else msgspec.yaml.decode(text)
    return rows


# As a process.


@pytest.mark.subprocess
async def test_in_a_pipe_a_table_is_plain_and_cuts_nothing(sim: Simulator) -> None:
    sim.add_vm(name="long-" * 60, description="evil \x1b[2J\nline")
    sim.add_vm(name="虚拟机", description="wide")
    columns = ("--columns", "name,description,cluster.name", "--order-by", "local_created_at_DESC")
    ended = await run_with(sim, "get", "vms", *columns)
    assert (ended.returncode, ended.stderr) == (0, "")
    head, *lines = ended.stdout.splitlines()
    assert head.split() == ["NAME", "DESCRIPTION", "CLUSTER.NAME"]
    assert len(lines) == 32
    assert any(line.startswith(f"{'long-' * 60}  evil  [2J line ") for line in lines)
    wide = next(line for line in lines if line.startswith("虚拟机"))
    assert wide.index("wide") == head.index("DESCRIPTION") - 3  # 3 characters take 2 columns each
    assert ESCAPE not in ended.stdout


@pytest.mark.subprocess
async def test_in_a_terminal_a_table_fits_and_ids_are_not_cut(sim: Simulator) -> None:
    vm = sim.add_vm(name="long-" * 60, status="STOPPED")

    def look(*options: str) -> tuple[int, str]:
        asked = ("get", "vm", "--where", f"id={vm['id']}", *options)
        with Terminal(*asked, variables=login_variables(sim)) as term:
            return term.wait(), term.shown

    status, text = await anyio.to_thread.run_sync(look, "--columns", "id,name,status")
    assert status == 0
    assert f"{ESCAPE}[1mID" in text
    assert f"{vm['id']}  long-" in text
    assert "STOPPED" in text
    assert len(plain(text).splitlines()) > 3  # folded over several lines
    assert max(map(len, plain(text).splitlines())) <= 100
    status, text = await anyio.to_thread.run_sync(look)
    head, row = plain(text).splitlines()
    assert head.split() == ["NAME", "STATUS"]  # others are dropped before truncation
    assert len(row) <= 100
    assert row.endswith("…  STOPPED")


@pytest.mark.subprocess
async def test_a_slow_reader_delays_the_requests() -> None:
    async with Simulator(clusters=1, vms=2500) as sim:

        def look() -> tuple[bytes, int, bytes]:
            arguments = ("get", "vms", "-o", "jsonl")
            with start(*arguments, **login_variables(sim)) as (process, out, err):
                line = out.readline()
                out.close()
                return line, process.wait(PATIENCE), err.read()

        line, status, told = await anyio.to_thread.run_sync(look)
        assert json.loads(line)["id"]
        assert (status, told) == (1, b"")
        # A page is larger than a pipe: it was being written while the next page was ready.
        assert len(sim.sent("get-vms")) <= 3


@pytest.mark.subprocess
async def test_a_warning_of_the_log_is_a_line_of_the_command(sim: Simulator) -> None:
    options = ("--where", "status=RUNING", "--endpoint", "https://127.0.0.1:1", "--no-verify-tls")
    ended = await run_with(sim, "get", "vm", *options)
    assert ended.returncode == 1
    wrong, unsafe, error = ended.stderr.splitlines()
    start = "cloudtower-async: warning: "
    assert wrong.startswith(start)
    assert wrong.endswith("'RUNING', which this version does not know; did you mean RUNNING?")
    assert unsafe.startswith(f"{start}--no-verify-tls: the certificate of https://127.0.0.1:1 is")
    assert unsafe.endswith("; --ca-file is the safe way")
    assert error.startswith("cloudtower-async: user.login: no connection")


@pytest.mark.subprocess
def test_without_a_server_a_wrong_name_is_one_line() -> None:
    ended = run("get", "vmz")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "cloudtower-async: there is no resource 'vmz'; did you mean vm or vms?\n"


# In this process.


async def test_json_lines_have_all_fields_by_their_names_on_the_wire(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (await shown(capsys, "vms", "-o", "jsonl")).splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["id"] for row in rows] == sorted(sim.store.table("Vm"))
    assert "entityAsyncStatus" in rows[0]
    assert rows[0]["cluster"]["name"] == "atlas-01"


@pytest.mark.parametrize("output", ["json", "jsonl", "yaml"])
async def test_chosen_columns_keep_their_types(
    output: str, sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    vm = sim.add_vm(name="a\u009bb", vcpu=3)
    chosen = ("--columns", "name, vcpu,ha,cluster.name,vm_disks.id,entityAsyncStatus")
    text = await shown(capsys, "vms", "--where", f"id={vm['id']}", "-o", output, *chosen)
    assert "\u009b" not in text
    [row] = read(output, text)
    assert row == {
        "name": "a\u009bb",
        "vcpu": 3,
        "ha": vm["ha"],
        "cluster.name": sim.store.table("Cluster")[vm["cluster"]]["name"],
        "vm_disks.id": vm["vm_disks"],
        "entityAsyncStatus": None,
    }
    empty = await shown(capsys, "vms", "--where", "name=none", "-o", output, *chosen)
    assert read(output, empty) == []


async def test_csv_has_a_header_and_quotes(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    vm = sim.add_vm(name='a,"b"\nc', vcpu=2, description="")
    chosen = ("--columns", "name,vcpu,ha,description,host.name,vm_disks")
    text = await shown(capsys, "vms", "--where", f"id={vm['id']}", "-o", "csv", *chosen)
    head, row = csv.reader(io.StringIO(text))
    assert head == ["name", "vcpu", "ha", "description", "host.name", "vm_disks"]
    assert row[:4] == ['a,"b"\nc', "2", "true" if vm["ha"] else "false", ""]
    assert [disk["id"] for disk in json.loads(row[5])] == vm["vm_disks"]


async def test_values_of_conditions_are_converted_to_the_types_of_the_api(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in (
        *("name_contains=5", "vcpu_gt=1", "status_in=RUNNING,STOPPED", "cluster.name=atlas-01"),
        *("ha=true", "description_not=null", '{"vcpu_lt": 99}', "vcpu_in=[2,4]"),
    ):
        await shown(capsys, "vms", "--where", text, "-o", "jsonl")
    sent = [body["where"] for body in sim.sent("get-vms")]
    assert [where for where in sent if "AND" not in where] == [
        {"name_contains": "5"},
        {"vcpu_gt": 1},
        {"status_in": ["RUNNING", "STOPPED"]},
        {"cluster": {"name": "atlas-01"}},
        {"ha": True},
        {"description_not": "null"},
        {"vcpu_lt": 99},
        {"vcpu_in": [2, 4]},
    ]


async def test_all_conditions_must_hold(sim: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    for texts in (("name=a", "vcpu=2"), ("name_not=a", "name_not=b")):
        conditions = [part for text in texts for part in ("--where", text)]
        await shown(capsys, "vms", *conditions)
    one, other = [body["where"] for body in sim.sent("get-vms")][:2]
    assert one == {"name": "a", "vcpu": 2}
    assert other == {"AND": [{"name_not": "a"}, {"name_not": "b"}]}


async def test_order_by_and_limit_are_applied(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    names = sorted((vm["name"] for vm in sim.store.table("Vm").values()), reverse=True)
    options = ("--columns", "name", "-o", "csv", "--limit", "7")
    text = await shown(capsys, "vms", "--order-by", "name_DESC", *options)
    assert text.splitlines() == ["name", *names[:7]]
    text = await shown(capsys, "vms", "--order-by", "name", *options)
    assert text.splitlines() == ["name", *names[:-8:-1]]


async def test_the_field_to_sort_by_need_not_be_shown(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    vms = sorted(sim.store.table("Vm").values(), key=lambda vm: (vm["vcpu"], vm["id"]))
    text = await shown(capsys, "vms", "--order-by", "vcpu", "--columns", "name", "-o", "csv")
    assert text.splitlines() == ["name", *(vm["name"] for vm in vms)]


async def test_a_broken_field_that_is_not_shown_is_no_warning(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    vm = sim.add_vm(name="web")
    vm["firmware"] = 5
    asked = ("vms", "--where", "name=web")
    for options in ((), ("--columns", "name,cluster.name"), ("--columns", "name", "-o", "json")):
        assert "web" in await shown(capsys, *asked, *options)  # nothing on standard error
    await anyio.to_thread.run_sync(main, ["get", *asked, "--columns", "firmware"])
    assert "firmware" in capsys.readouterr().err


async def test_texts_are_shown_in_the_requested_language(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "物理盘" in await shown(capsys, "alerts", "--language", "zh-CN")


async def test_wrong_arguments_are_one_line(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, told in (
        (["vm", "--where", "nmae=a"], "--where: nmae: no such field; did you mean name?"),
        (["vm", "--where", "name"], "--where: 'name' is neither JSON nor key=value"),
        (["vm", "--where", '{"name"'], "--where: not valid JSON"),
        (
            ["vm", "--where", "cluster=prod"],
            "cluster is a resource: pass a field, as in cluster.name=",
        ),
        (["vm", "web-1"], "unexpected argument 'web-1'; to choose resources, pass --where"),
        (["vm", "--where", "vcpu=many"], "--where: vcpu: expected a whole number, got a string"),
        (
            ["vm", "--where", "vcpu=true"],
            "--where: vcpu: expected a whole number, got true or false",
        ),
        (["alert", "--where", "ended=no"], "--where: ended: expected true or false, got a string"),
        (["alert", "--where", '{"ended": 0}'], "ended: expected true or false, got a whole number"),
        (
            ["vm", *("--where", "name_not=a") * 3, "--where", "cluster.ip=x", "--where", "vcpu=x"],
            "--where: vcpu: expected a whole number",
        ),
        (
            ["vm", "--where", "vcpu=1", "--where", '{"OR": [{"vcpu": "x"}], "vcpu": 2}'],
            "--where: OR[0].vcpu: expected a whole number",
        ),
        (["vm", "--columns", "id,nmae"], "--columns: Vm has no 'nmae'; did you mean name"),
        (["vm", "--columns", "cluster.nmae"], "'nmae'; did you mean name?"),
        (["vm", "--columns", "name.x"], "'name.x': name has no fields"),
        (
            ["vm", "--columns", "name,age", "-o", "csv"],
            "--columns: only tables have the column 'age'; with -o csv, pass local_created_at",
        ),
        (["host", "--columns", "cpu", "-o", "json"], "pass used_cpu_hz,total_cpu_hz"),
        (["vm", "--order-by", "nmae"], "--order-by: there is no 'nmae'; did you mean name"),
        (["vm", "--order-by", "name_UP"], "--order-by: there is no 'name_UP'"),
        (["vm", "--limit", "0"], "--limit"),
        (["vm", "-o", "xml"], "-o"),
        (["vm", "--sort", "nmae"], "--sort: there is no column 'nmae'; did you mean name?"),
        (
            ["vm", "--sort", "vcpu_DESC"],
            "--sort: there is no column 'vcpu_DESC'; did you mean vcpu:desc?",
        ),
        (["vm", "--sort", "name:up"], "--sort: expected name:asc or name:desc, got 'name:up'"),
        (["vm", "-q", "-o", "json"], "--quiet prints ids only: leave out --output json"),
        (["vm", "-q", "--columns", "name"], "--quiet prints one column only"),
        (["vm", "-o", "name", "--columns", "id"], "--output name prints one column only"),
        (["vm", "-o", "json", "--no-headers"], "--output json has no headings"),
        (["vm", "-o", "json", "--raw-csv"], "--raw-csv goes with --output csv only"),
        (["vm", "-o", "json", "--no-pager"], "--output json uses no pager"),
        (["vm", "-o", "csv", "--no-pager"], "--output csv uses no pager"),
        (["vm", "-q", "--no-pager"], "--quiet uses no pager"),
        (["vm", "--watch", "--no-pager"], "--watch uses no pager"),
        (["vm", "--interval", "2"], "--interval needs --watch"),
        (["vm", "-o", "json", "--watch"], "--watch goes with --output table and wide only"),
        (["vm", "host"], "unexpected argument 'host'"),
        (["vm", "--columns", "foo"], "Vm has no 'foo'; `cloudtower-async resources vm` lists them"),
        (["task-metrics"], "there is no resource 'task-metrics'"),
    ):
        assert told in await refused(capsys, *arguments)
    assert sim.sent("get-vms") == []


@pytest.mark.parametrize("value", ["false", "False", "FALSE", "fAlSe"])
async def test_the_case_of_true_and_false_does_not_matter(
    sim: Simulator, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    shown_ids = await shown(capsys, "alerts", "--where", f"ended={value}", "-q")
    assert shown_ids.split() == sorted(
        alert["id"] for alert in sim.store.select("Alert", {"ended": False})
    )
    await shown(capsys, "vms", "--where", f"ha={value}", "--where", f"name={value}", "-q")
    assert sim.sent("get-vms")[-1]["where"] == {"ha": False, "name": value}


async def test_a_table_has_readable_values_and_the_name_first(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    vm = sim.add_vm(name="web", vcpu=4, memory=8 * 2**30, status="STOPPED")
    head, row = (await shown(capsys, "vms", "--where", "name=web")).splitlines()
    assert head.split()[:4] == ["NAME", "STATUS", "VCPU", "MEMORY"]
    assert row.startswith("web   STOPPED     4   8 GiB")
    assert vm["id"] not in row
    wide = await shown(capsys, "vms", "--where", "name=web", "-o", "wide")
    assert wide.splitlines()[1].endswith(vm["id"])
    bare = await shown(capsys, "vms", "--where", "name=web", "--no-headers")
    assert bare.split("\n")[0].startswith("web  STOPPED")
    raw = await shown(capsys, "vms", "--where", "name=web", "-o", "csv", "--no-headers")
    assert str(8 * 2**30) in raw
    assert raw.count("\n") == 1


async def test_headings_of_the_default_table_are_columns(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    for resource, left_out in (("vms", ""), ("hosts", "vms")):  # vms is also a field of hosts
        head, *_ = (await shown(capsys, resource)).splitlines()
        columns = [name for name in head.lower().split() if name != left_out]
        text = await shown(capsys, resource, "--columns", ",".join(columns))
        assert text.splitlines()[0].lower().split() == columns
    aged = await shown(capsys, "vms", "--columns", "age,name", "--no-headers")
    assert re.match(r" *\d+[smhdy]", aged)


async def test_the_output_for_programs_keeps_its_shape(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """The formats are as documented in docs/command-line.md."""
    vm = sim.add_vm(name="web", vcpu=4, memory=2**30)
    asked = ("vms", "--where", f"id={vm['id']}")
    chosen = (*asked, "--columns", "cluster.name,memory,id")
    cluster = sim.store.get("Cluster", vm["cluster"])["name"]
    line = f'{{"cluster.name":"{cluster}","memory":{2**30},"id":"{vm["id"]}"}}'
    assert await shown(capsys, *chosen, "-o", "json") == f"[\n{line}\n]\n"
    assert await shown(capsys, *chosen, "-o", "jsonl") == f"{line}\n"
    assert await shown(capsys, *chosen, "-o", "csv") == (
        f"cluster.name,memory,id\n{cluster},{2**30},{vm['id']}\n"
    )
    assert await shown(capsys, *chosen, "-o", "yaml") == (
        f"- cluster.name: {cluster}\n  memory: {2**30}\n  id: {vm['id']}\n"
    )
    nothing = ("vms", "--where", "id=none", "--columns", "id")
    texts = [await shown(capsys, *nothing, "-o", kind) for kind in ("json", "jsonl", "yaml", "csv")]
    assert texts == ["[]\n", "", "[]\n", "id\n"]
    [whole] = json.loads(await shown(capsys, *asked, "-o", "json"))
    assert whole.keys() >= {"id", "name", "memory", "entityAsyncStatus", "local_created_at"}
    assert whole["memory"] == 2**30


async def test_names_or_ids_alone_are_one_per_line(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    vm = sim.add_vm(name="web\n1")
    asked = ("vms", "--where", f"id={vm['id']}")
    assert await shown(capsys, *asked, "-o", "name") == "web 1\n"
    assert await shown(capsys, *asked, "-q") == f"{vm['id']}\n"
    task = next(iter(sim.store.table("Task")))
    assert await shown(capsys, "tasks", "--where", f"id={task}", "-o", "name") == f"{task}\n"


@pytest.mark.parametrize("output", ["name", "json", "csv"])
async def test_sorting_goes_by_any_column_and_before_the_limit(
    output: str, sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, memory in ((2, 900), (10, 700), (1, 800)):
        sim.add_vm(name=f"sorted-{number}", memory=memory * 2**30)

    async def order(*options: str) -> list[str]:
        text = await shown(
            capsys, "vms", "--where", "name_starts_with=sorted", "-o", output, *options
        )
        return re.findall("sorted-[0-9]+", text)

    columns = () if output == "name" else ("--columns", "name")
    assert await order("--sort", "name", *columns) == ["sorted-1", "sorted-2", "sorted-10"]
    by_memory = await order("--sort", "memory:desc", "--limit", "2", *columns)
    assert by_memory == ["sorted-2", "sorted-1"]


# Names.


@pytest.mark.parametrize(
    ("typed", "method"),
    [
        ("vm", "vm.get_vms"),
        ("VMs", "vm.get_vms"),
        (
            "content-library-vm-template",
            "content_library_vm_template.get_content_library_vm_templates",
        ),
        ("ContentLibraryImage", "content_library_image.get_content_library_images"),
        ("gpu_device", "gpu_device.get_gpu_devices"),
        ("backup-plan", "backup_plan.get_backup_plans"),
        ("security-policy", "security_policy.get_security_policies"),
        ("vds", "vds.get_vdses"),
        ("cluster-settings", "cluster_settings.get_cluster_settingses"),
    ],
)
def test_a_resource_has_the_names_that_people_use(typed: str, method: str) -> None:
    assert query_for(typed) == method


def test_every_query_of_many_resources_has_a_name_and_columns() -> None:
    readable: set[str] = set()
    tower = Cloudtower("https://tower.example", token="t")
    for method in OPERATIONS.values():
        namespace, _, name = method.partition(".")
        ask: Any = getattr(getattr(tower, namespace), name)
        try:
            query_of("get", ask)
        except InvalidInput:
            continue
        readable.add(method)
        [resource] = get_args(registry.operation(method).answer())
        columns = Columns(resource)
        assert columns.names[0] == "id"
        assert 1 < len(columns.names) <= 8
        view = View(resource)
        assert view.names[0] in {"name", "id", "vm", "disk", "alert", "what", "key", "license"}
        assert 1 <= len(view.names) <= 9
        chosen = View(resource, list(every_column(resource)))
        for paths in (columns.paths, view.paths, View(resource, wide=True).paths, chosen.paths):
            # Rejects a struct that does not fit.
            select_fields(ask, query_struct(resource, paths, None))
    assert set(queries().values()) == readable


def test_a_namespace_names_its_own_resource() -> None:
    known = queries()
    for method in set(known.values()):
        namespace = method.partition(".")[0]
        assert known[namespace].startswith(f"{namespace}.")


def test_cells_are_short_texts() -> None:
    values = [None, True, 2.0, 2.5, 7, "x", ["a", "b"], {"a": 1}, []]
    assert [cell(value) for value in values] == [
        *("", "true", "2", "2.5", "7", "x", "a, b", '{"a":1}', "")
    ]


def test_an_unknown_column_is_rejected() -> None:
    with pytest.raises(UsageError, match="Vm has no 'x'"):
        Columns(Vm, ["x"])
