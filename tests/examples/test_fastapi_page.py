"""The page of the FastAPI example in Chromium, against the simulator."""

from __future__ import annotations

import re
import shutil
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import async_playwright, expect

from cloudtower_async.testing import Simulator
from examples.fastapi_dashboard.app import create_app
from tests.examples.serving import serving, session

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from playwright.async_api import Browser, Page, ViewportSize

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.subprocess,
    pytest.mark.anyio,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to open the page in"),
]

OFTEN = 0.05
NEVER = 3600.0
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)
SCREENS: dict[str, ViewportSize] = {
    "phone": {"width": 360, "height": 740},
    "tablet": {"width": 820, "height": 1180},
    "laptop": {"width": 1280, "height": 800},
    "wall": {"width": 1920, "height": 1080},
    "4K": {"width": 3840, "height": 2160},
}


expect.set_options(timeout=30_000)  # only ends a broken page: machines can be slow


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Use one event loop for all tests of the module, because they share the browser."""
    return "asyncio"


@pytest.fixture(scope="module")
async def browser() -> AsyncGenerator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=OPTIONS.split(), timeout=60_000
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def dashboard(
    interval: float, clusters: int = 3, vms: int = 24
) -> AsyncGenerator[tuple[Simulator, str]]:
    async with (
        Simulator(clusters=clusters, vms=vms) as sim,
        serving(create_app(session(sim), interval=interval)) as address,
    ):
        yield sim, address


@asynccontextmanager
async def opened(
    browser: Browser,
    address: str,
    *,
    language: str = "en-US",
    complains: bool = False,
) -> AsyncGenerator[Page]:
    """Open the page in a new window and check that it logs no errors."""
    context = await browser.new_context(
        viewport=SCREENS["laptop"], locale=language, timezone_id="UTC"
    )
    complaints: list[str] = []
    try:
        page = await context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(address)
        yield page
    finally:
        await context.close()
    assert complains or not complaints


def rows(sim: Simulator, resource: str, **fields: object) -> list[dict[str, Any]]:
    return sim.store.select(resource, fields)


async def test_the_policy_lets_the_page_work_and_nothing_else(browser: Browser) -> None:
    async with dashboard(NEVER) as (_, address), opened(browser, address, complains=True) as page:
        await expect_live(page)
        attempts = """
            () => new Promise(resolve => {
                const blocked = new Set();
                document.addEventListener("securitypolicyviolation", event => {
                    blocked.add(event.effectiveDirective);
                    if (blocked.size === 4) resolve([...blocked].sort());
                });
                const add = (tag, set) => document.body.append(
                    Object.assign(document.createElement(tag), set));
                add("script", {textContent: "window.run = true"});
                add("img", {src: "http://127.0.0.1:9/x.png"});
                add("iframe", {src: "http://127.0.0.1:9/"});
                fetch("http://127.0.0.1:9/").catch(() => {});
            })
        """
        blocked = await page.evaluate(attempts)
        assert blocked == ["connect-src", "frame-src", "img-src", "script-src-elem"]
        assert await page.evaluate("window.run === undefined")


async def expect_tile(page: Page, name: str, value: float, note: str | None = None) -> None:
    tile = page.locator(f"[data-tile={name}]")
    await expect(tile.locator("strong")).to_have_text(str(value))
    if note is not None:
        await expect(tile.locator(".note")).to_have_text(note)


async def expect_live(page: Page) -> None:
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")


async def test_the_figures_are_those_of_the_tower(browser: Browser) -> None:
    async with dashboard(NEVER) as (sim, address), opened(browser, address) as page:
        await expect_live(page)
        clusters, hosts, disks = rows(sim, "Cluster"), rows(sim, "Host"), rows(sim, "Disk")
        running = len(rows(sim, "Vm", status="RUNNING"))
        faulty = len([disk for disk in disks if not disk["healthy"]])
        critical = len(rows(sim, "Alert", ended=False, severity="CRITICAL"))
        await expect_tile(
            page, "alerts", len(rows(sim, "Alert", ended=False)), f"{critical} critical"
        )
        await expect_tile(page, "clusters", len(clusters), "all in order")
        await expect_tile(page, "hosts", len(hosts), "in 3 clusters")
        await expect_tile(page, "vms", 24, f"{running} running")
        await expect_tile(page, "disks", len(disks), f"{faulty} faulty")

        cpu = sum(one["used_cpu_hz"] for one in clusters) / sum(
            one["total_cpu_hz"] for one in clusters
        )
        space = sum(one["total_data_capacity"] for one in clusters)
        storage = sum(one["used_data_space"] for one in clusters) / space
        for name, share in (("cpu", cpu), ("storage", storage)):
            card = page.locator(f"[data-use={name}]")
            await expect(card.locator("strong")).to_have_text(f"{100 * share:.1f}%")
            meter = card.get_by_role("meter")
            await expect(meter).to_have_attribute("aria-valuenow", f"{100 * share:.1f}")
        await expect(page.locator("[data-use=storage] dl")).to_contain_text(
            f"Total{space / 2**40:.2f}TiB"
        )

        names = await page.locator("#clusters th").all_inner_texts()
        assert [name.partition("\n")[0] for name in names] == sorted(
            cluster["name"] for cluster in clusters
        )
        hard = [disk for disk in disks if disk["type"] == "HDD"]
        states = page.get_by_role("row", name=re.compile("^HDD")).locator("td")
        healthy = len([disk for disk in hard if disk["health_status"] == "HEALTHY"])
        errors = len([disk for disk in hard if not disk["healthy"]])
        figures = [int(text) for text in await states.all_inner_texts()]
        assert sum(figures) == len(hard)
        assert figures[2] == errors
        assert figures[0] in (healthy, healthy - figures[1])


async def test_changes_appear_without_a_reload(browser: Browser) -> None:
    async with dashboard(OFTEN) as (sim, address), opened(browser, address) as page:
        total = len(rows(sim, "Alert", ended=False))
        await expect_tile(page, "alerts", total)
        summary = page.locator("summary").first
        await summary.click()
        solution = page.locator("details[open] dd").last
        await expect(solution).to_be_visible()

        alert = sim.add_alert(severity="CRITICAL", local_start_time="2030-01-01T00:00:00.000Z")
        await expect_tile(page, "alerts", total + 1)
        newest = page.locator("#alerts tr").first
        await expect(newest).to_contain_text(alert["message"])
        await expect(newest).to_contain_text("Jan 1, 2030, 00:00")
        await expect(newest.locator("details")).not_to_have_attribute("open", "")
        await expect(solution).to_be_visible()  # an open row stays open

        sim.store.change("Alert", alert["id"], ended=True)
        await expect_tile(page, "alerts", total)
        # A curve grows, too.
        line = page.locator("[data-use=cpu] path.line")
        before = await line.get_attribute("d")
        await expect(line).not_to_have_attribute("d", before or "")
        await page.locator("[data-use=cpu] svg").hover()
        await expect(page.locator("[data-use=cpu] .at")).to_have_text(
            re.compile(r"^\d\d:\d\d:\d\d · [\d.]+%$")
        )


async def test_alerts_are_filtered_by_severity(browser: Browser) -> None:
    async with dashboard(OFTEN) as (sim, address), opened(browser, address) as page:
        await expect_live(page)
        shown = page.locator("#alerts tr:visible")
        by_severity = {
            severity: len(rows(sim, "Alert", ended=False, severity=severity))
            for severity in ("CRITICAL", "NOTICE", "INFO")
        }
        assert all(by_severity.values())
        await expect(shown).to_have_count(sum(by_severity.values()))
        for severity, count in by_severity.items():
            name = severity.capitalize()
            await page.get_by_role("radio", name=f"{name} {count}").check()
            await expect(shown).to_have_count(count)
            await expect(shown.locator(".badge").first).to_have_text(name)
        await expect(page.get_by_role("radio", name="Other")).to_be_hidden()

        # The choice is part of the address, so it survives a reload and can be a bookmark.
        await page.reload()
        await expect(shown).to_have_count(by_severity["INFO"])
        await page.get_by_role("radio", name="Info").press("ArrowLeft")
        await expect(shown).to_have_count(by_severity["NOTICE"])

        for alert in rows(sim, "Alert", severity="NOTICE"):
            sim.store.change("Alert", alert["id"], ended=True)
        await expect(page.locator("#no-alerts")).to_have_text("No alerts of this severity: Notice.")
        sim.add_alert(severity="OF_ANOTHER_WORLD")
        await page.get_by_role("radio", name="Other 1").check()
        await expect(shown.locator(".badge")).to_have_text("OF ANOTHER WORLD")


async def test_the_page_speaks_both_languages(browser: Browser) -> None:
    async with dashboard(NEVER) as (sim, address):
        alert = rows(sim, "Alert", ended=False, severity="CRITICAL")[0]
        chinese = sim.store.translations[alert["message"]]
        async with opened(browser, address) as page:
            await expect(page.get_by_role("heading", name="Memory")).to_be_visible()
            await expect(page.get_by_text(alert["message"], exact=True).first).to_be_visible()
            await page.get_by_role("radio", name="中文").check()
            await expect(page.get_by_role("heading", name="内存")).to_be_visible()
            await expect(page.get_by_text(chinese, exact=True).first).to_be_visible()
            await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
            assert "language=zh-CN" in page.url
            await page.get_by_role("radio", name="English").check()
            await expect(page.get_by_text(alert["message"], exact=True).first).to_be_visible()
        async with opened(browser, address, language="zh-CN") as page:  # as the browser does
            await expect(page.get_by_text(chinese, exact=True).first).to_be_visible()
            await expect(page.get_by_role("radio", name="中文")).to_be_checked()


async def test_an_outage_shows_and_ends_by_itself(browser: Browser) -> None:
    async with dashboard(OFTEN) as (sim, address), opened(browser, address) as page:
        await expect_tile(page, "vms", 24)
        banner = page.get_by_role("alert")
        await expect(banner).to_be_hidden()
        await sim.nodes[0].refuse()
        await expect(banner).to_contain_text("CloudTower gives no figures")
        await expect(banner).to_contain_text(sim.url)
        await expect(page.get_by_role("status")).to_contain_text("Outdated")
        await expect_tile(page, "vms", 24)  # the last known value
        sim.add_vm()
        await sim.nodes[0].accept()
        await expect(banner).to_be_hidden()
        await expect_tile(page, "vms", 25)
        await expect_live(page)


async def test_a_tower_that_is_down_from_the_start(browser: Browser) -> None:
    async with dashboard(OFTEN) as (sim, address):
        await sim.nodes[0].refuse()
        async with opened(browser, address) as page:
            await expect(page.get_by_role("alert")).to_contain_text("CloudTower gives no figures")
            await sim.nodes[0].accept()
            await expect_tile(page, "vms", 24)
            await expect(page.get_by_role("alert")).to_be_hidden()


async def test_a_page_whose_app_is_gone_says_so_until_it_is_back(browser: Browser) -> None:
    async with Simulator(vms=4) as sim, AsyncExitStack() as stack:
        async with serving(create_app(session(sim), interval=OFTEN)) as address:
            # The browser logs that its stream was interrupted.
            window = opened(browser, address, complains=True)
            page = await stack.enter_async_context(window)
            await expect_tile(page, "vms", 4)
        banner = page.get_by_role("alert")
        await expect(banner).to_contain_text("connection to this dashboard")
        sim.add_vm()
        again = create_app(session(sim), interval=OFTEN)
        await stack.enter_async_context(serving(again, int(address.rpartition(":")[2])))
        await expect_tile(page, "vms", 5)
        await expect(banner).to_be_hidden()
        await stack.aclose()


async def test_two_browsers_share_one_poll(browser: Browser) -> None:
    async with (
        dashboard(NEVER) as (sim, address),
        opened(browser, address) as one,
        opened(browser, address) as other,
    ):
        await expect_tile(one, "vms", 24)
        await expect_tile(other, "vms", 24)
        asked = [request.path for request in sim.requests]
        assert sorted(asked) == ["get-alerts", "get-clusters", "get-disks", "get-hosts", "login"]


async def test_texts_of_the_tower_never_become_markup(browser: Browser) -> None:
    hostile = '<img src=x onerror="document.title=1"><b>bold</b>'
    async with Simulator(clusters=1, vms=2) as sim:
        sim.add_alert(severity="CRITICAL", message=hostile, cause=hostile)
        [cluster] = rows(sim, "Cluster")
        sim.store.change("Cluster", cluster["id"], name=hostile)
        async with (
            serving(create_app(session(sim), interval=NEVER)) as address,
            opened(browser, address) as page,
        ):
            await expect(page.locator("#clusters th").first).to_contain_text(hostile)
            await expect(page.get_by_text(hostile, exact=True).first).to_be_visible()
            assert await page.locator("main img, main b").count() == 0


async def test_an_empty_tower_has_a_page(browser: Browser) -> None:
    async with dashboard(NEVER, 0, 0) as (_, address), opened(browser, address) as page:
        await expect_tile(page, "clusters", 0, "all in order")
        for text in ("No active alerts.", "No clusters.", "No disks."):
            await expect(page.get_by_text(text)).to_be_visible()
        await expect(page.locator("[data-use=cpu] strong")).to_have_text("Unknown")


async def test_unknown_values_are_shown_as_unknown(browser: Browser) -> None:
    async with dashboard(NEVER, clusters=4) as (_, address), opened(browser, address) as page:
        await expect_tile(page, "clusters", 4, "1 disconnected")
        await expect(page.locator("[data-use=cpu] strong")).to_have_text(re.compile("^≈ "))
        lost = page.locator("#clusters tr", has_text="disconnected")
        await expect(lost.locator("td.none")).to_have_text(["Unknown", "Unknown"])


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
async def test_everything_fits_the_screen_and_can_be_read(browser: Browser, language: str) -> None:
    async with dashboard(NEVER, clusters=4) as (sim, address):
        sim.add_alert(message="a-word-without-end-" * 20)
        async with opened(browser, address, language=language) as page:
            await expect_live(page)
            for name, size in SCREENS.items():
                await page.set_viewport_size(size)
                wide: list[str] = await page.evaluate(TOO_WIDE)
                assert not wide, name
            grounds: list[str] = []
            for scheme in ("light", "dark"):
                await page.emulate_media(color_scheme=scheme)
                low: list[str] = await page.evaluate(LOW_CONTRAST)
                assert not low, scheme
                grounds.append(await page.evaluate("getComputedStyle(document.body).background"))
            assert grounds[0] != grounds[1]


# Elements that extend beyond the edge of the screen.
TOO_WIDE = """() => [...document.querySelectorAll("body, body *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5)
  .map((one) => one.outerHTML.slice(0, 80))"""

# Texts with a contrast below 4.5 to 1 (WCAG) against their background.
LOW_CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const drawn = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => rgb.map((part) => part / 255)
    .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((all, part, place) => all + part * [0.2126, 0.7152, 0.0722][place], 0);
  const low = [];
  for (const one of document.querySelectorAll("body *")) {
    const text = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!text || !one.checkVisibility()) continue;
    const behind = [];
    for (let each = one; each; each = each.parentElement) {
      behind.unshift(getComputedStyle(each).backgroundColor);
    }
    const ink = luminance(drawn([...behind, getComputedStyle(one).color]));
    const ground = luminance(drawn(behind));
    const ratio = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${one.outerHTML.slice(0, 60)}`);
  }
  return low;
}"""
