"""The choice of the language of the command line, and the translations of its texts."""

from __future__ import annotations

import ast
import re
import string
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len

from cloudtower_async.cli.exit_codes import ExitCode
from cloudtower_async.cli.language import choose_language, language_of, tr
from cloudtower_async.testing import Simulator
from tests.cli import catalog
from tests.cli.command import plain, run
from tests.cli.in_process import in_pipe, in_terminal
from tests.support import set_login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture
async def sim(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=6) as simulator:
        set_login_variables(monkeypatch, simulator)
        yield simulator


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_the_catalog_has_the_texts_that_are_used_and_no_others() -> None:
    """If this fails: ``python -m tests.cli.catalog``, and translate the texts that it prints."""
    assert catalog.updated() == catalog.PO.read_text(encoding="utf-8")
    missing = [text for text, translation in catalog.translations().items() if not translation]
    assert missing == []


def test_code_in_help_texts_stays_on_one_line() -> None:
    """Help pages would show the line break and the indentation as spaces."""
    for path in catalog.SOURCES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Expr(ast.Constant(str(text))):
                    found = re.findall(r"(`+)([^`]+)\1", text)
                    broken = [code for _, code in found if "\n " in code]
                    assert not broken, f"{path.name}:{node.lineno}: {broken}"
                case _:
                    pass


def test_translations_have_the_placeholders_of_their_texts() -> None:
    known = catalog.translations()
    for text in catalog.used_texts():
        _, one, many = text
        translation = known[catalog.key(text)]
        try:
            wanted = _placeholders(many or one)
        except ValueError:  # braces of JSON in a text without values
            continue
        assert _placeholders(translation) == wanted, one
        assert one.startswith("\n") is translation.startswith("\n")


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({}, "en-US"),
        ({"LANG": "zh_CN.UTF-8"}, "zh-CN"),
        ({"LANG": "zh_CN"}, "zh-CN"),
        ({"LANG": "zh_SG.UTF-8@pinyin"}, "zh-CN"),
        ({"LANG": "zh_TW.UTF-8"}, "en-US"),
        ({"LANG": "de_DE.UTF-8"}, "en-US"),
        ({"LANG": "nonsense"}, "en-US"),
        ({"LANG": "C.UTF-8"}, "en-US"),
        ({"LC_MESSAGES": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, "zh-CN"),
        ({"LC_ALL": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, "en-US"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en-US"),
        ({"LC_ALL": "POSIX", "LANGUAGE": "zh_CN"}, "en-US"),
        ({"LC_ALL": "", "LANG": "zh_CN.UTF-8"}, "zh-CN"),
        ({"LANGUAGE": "zh_CN:en", "LANG": "en_US.UTF-8"}, "zh-CN"),
        ({"LANGUAGE": "en:zh_CN", "LANG": "zh_CN.UTF-8"}, "en-US"),
        ({"LANGUAGE": "fr:zh-Hans", "LANG": "fr_FR.UTF-8"}, "zh-CN"),
    ],
)
def test_the_environment_chooses_the_language(variables: dict[str, str], language: str) -> None:
    assert language_of(variables) == language


def test_the_option_may_stand_anywhere() -> None:
    for arguments in (
        ["--language", "zh-CN", "vm", "list"],
        ["vm", "--language=zh-CN", "list"],
        ["vm", "list", "--language", "en-US", "--language", "zh-cn"],
    ):
        assert choose_language(arguments) == ["vm", "list"]
        assert tr("VM") == "虚拟机"
    assert choose_language(["call", "x", "--", "--language", "y"])[-2:] == ["--language", "y"]
    assert tr("VM") == "VM"


@pytest.mark.usefixtures("chinese")
async def test_the_option_wins_over_the_environment() -> None:
    assert "没有命令 'lst'" in (await in_pipe(["vm", "lst"])).err
    assert "no command 'lst'" in (await in_pipe(["vm", "lst", "--language", "en-US"])).err


@pytest.mark.parametrize("arguments", [["--language", "fr"], ["--language"], ["--language="]])
async def test_an_unknown_language_is_an_error(arguments: list[str]) -> None:
    ended = await in_pipe(["explain", "vm", *arguments])
    assert ended.code == ExitCode.USAGE
    assert "--language: expected en-US or zh-CN, got '" in ended.err


@pytest.mark.parametrize("path", ["", "vm", "vm stop", "get", "fleet", "completion"])
@pytest.mark.usefixtures("chinese")
async def test_help_is_translated(path: str) -> None:
    ended = await in_pipe([*path.split(), "--help"])
    assert ended.code == ExitCode.OK
    assert ended.out.startswith(f"用法：cloudtower-async {path}".rstrip())
    assert "退出码：" in ended.out
    assert not re.search(r"Usage|Parameters|Exit status|\[default|\[choices|\[required", ended.out)
    boxes = [line for line in ended.out.splitlines() if line.startswith(("│", "╭", "╰"))]
    assert {cell_len(line) for line in boxes} == {80}
    again = await in_pipe([*path.split(), "--help", "--language", "en-US"])
    assert not CHINESE.search(again.out)
    assert "Usage: cloudtower-async" in again.out


@pytest.mark.usefixtures("chinese")
async def test_tables_are_translated_and_aligned(sim: Simulator) -> None:
    ended = await in_pipe(["vm", "list"])
    head, *rows = ended.out.splitlines()
    assert head.split() == ["名称", "状态", "vCPU", "内存", "IP", "主机", "集群", "时长"]
    assert cell_len(head[: head.index("状态")]) == rows[0].index(rows[0].split()[1])
    dotted = await in_pipe(["vm", "list", "--columns", "host.name,age"])
    assert dotted.out.splitlines()[0].split() == ["主机.名称", "时长"]
    shown = plain((await in_terminal(["vm", "list", "--no-pager"])).out)
    assert "名称" in shown
    assert all(cell_len(line) <= 80 for line in shown.splitlines())


@pytest.mark.usefixtures("chinese")
async def test_what_scripts_read_is_the_same_in_every_language(sim: Simulator) -> None:
    for output in ("json", "jsonl", "csv", "yaml", "name"):
        ended = await in_pipe(["vm", "list", "-o", output])
        assert ended == await in_pipe(["vm", "list", "-o", output, "--language", "en-US"])
    quiet = await in_pipe(["vm", "list", "-q"])
    assert quiet == await in_pipe(["vm", "list", "-q", "--language", "en-US"])


@pytest.mark.usefixtures("chinese")
async def test_the_environment_leaves_the_texts_of_the_server_alone(sim: Simulator) -> None:
    assert not CHINESE.search((await in_pipe(["get", "alerts", "-o", "csv"])).out)
    option = await in_pipe(["--language", "zh-CN", "get", "alerts", "-o", "csv"])
    assert CHINESE.search(option.out)


@pytest.mark.usefixtures("chinese")
async def test_a_change_asks_in_chinese(sim: Simulator) -> None:
    ended = await in_terminal(["vm", "stop", "--where", "status=RUNNING"], "n\n")
    assert ended.code == ExitCode.USAGE
    assert re.search(r"在 127\.0\.0\.1:\d+ 上关闭 \d 台虚拟机？ .*\(运行中\)", ended.out)
    assert "未确认；未发送任何请求" in ended.out
    assert sim.mutations() == []
    refused = await in_pipe(["vm", "stop", "web-1"])
    assert (refused.code, refused.out) == (ExitCode.USAGE, "")
    assert "vm stop 会做更改：没有可供确认的终端，请指定 --yes\n" in refused.err
    done = await in_pipe(["vm", "stop", "--where", "status=RUNNING", "--force", "--yes"])
    assert done.code == ExitCode.OK
    assert ": 强制关机\n" in done.err
    assert ": 完成\n" in done.err


@pytest.mark.usefixtures("chinese")
async def test_the_dashboard_is_translated(sim: Simulator) -> None:
    shown = plain((await in_terminal(["dashboard"])).out)
    assert "1 个集群 · " in shown
    assert {cell_len(line) for line in shown.splitlines() if line.strip()} == {80}
    for word in ("内存", "存储", "集群", "报警", "物理盘"):
        assert word in shown
    assert not re.search(r"─ (Memory|Storage|Clusters|Alerts|Disks)", shown)


@pytest.mark.usefixtures("chinese")
async def test_explain_has_a_translated_frame() -> None:
    shown = (await in_pipe(["explain", "vm.memory"])).out
    assert shown.startswith("vm.memory: 整数\n    Memory of the VM in bytes.\n")
    assert "memory_not     不等于" in shown


@pytest.mark.usefixtures("chinese")
async def test_errors_of_the_package_stay_english(sim: Simulator) -> None:
    ended = await in_pipe(["call", "get-vms", '{"first": "many"}'])
    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith("cloudtower-async: vm.get_vms: ")
    assert not CHINESE.search(ended.err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vm", "list", "--limt", "3"], "没有选项 --limt；你是指 --limit"),
        (["vm", "list", "--limit"], "选项 --limit 需要一个值"),
        (["vm", "list", "--limit", "x"], "--limit：应为整数，实际为 'x'"),
        (["vm", "list", "--limit", "0"], "--limit：'0' 超出范围，应 >= 1"),
        (["vm", "list", "-o", "xml"], "-o：应为以下之一：table, wide, name"),
        (["vm", "create", "a"], "缺少选项 --cluster"),
        (["disk", "list"], "缺少参数 VM"),
        (["vm", "list", "--limit", "1", "--limit", "2"], "--limit 被指定了多次"),
    ],
)
@pytest.mark.usefixtures("chinese")
async def test_errors_of_the_parser_are_translated(arguments: list[str], message: str) -> None:
    ended = await in_pipe(arguments)
    assert ended.code == ExitCode.USAGE
    assert message in ended.err


@pytest.mark.usefixtures("chinese")
async def test_completion_describes_in_chinese() -> None:
    shown = (await in_pipe(["__complete", "words", "cloudtower-async", "vm", "sta"])).out
    assert shown == ":words\nstart\t将虚拟机开机\n"


@pytest.mark.subprocess
def test_a_terminal_that_cannot_show_chinese_gets_english() -> None:
    for encoding, language in (("ascii", "no command"), ("utf-8", "没有命令")):
        ended = run("vm", "lst", LANG="zh_CN.UTF-8", PYTHONIOENCODING=encoding)
        assert ended.returncode == ExitCode.USAGE
        assert language in ended.stderr
    for locale in ("C", "POSIX", "xx_YY.UTF-8"):
        ended = run("vm", "lst", LC_ALL=locale, PYTHONIOENCODING="utf-8")
        assert "there is no command" in ended.stderr
