import { Chart } from "./chart.js";
import { texts } from "./texts.js";

const KINDS = ["critical", "notice", "info", "other"];
const USES = ["cpu", "memory", "storage"];
const REMEMBERED = 3_600_000; // ms that the curves go back
const SILENCE = 60_000; // ms without a word from the server until it is asked anew
const AGAIN = 5_000; // ms until a refused connection is tried again

const wanted = new URLSearchParams(location.search);
const choice = {
  language: wanted.get("language") ?? (navigator.language.startsWith("zh") ? "zh-CN" : "en-US"),
  severity: wanted.get("severity") ?? "all",
};
if (!texts[choice.language]) choice.language = "en-US";
if (!KINDS.includes(choice.severity)) choice.severity = "all";

let state = null; // the latest from the server
let uses = []; // [time, cpu, memory, storage]
let connected = true;
let source, watchdog, say, number;

const $ = (id) => document.getElementById(id);

// An element; texts only ever become text nodes, so nothing that a server says becomes markup.
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

const count = (value) => (value === null ? say.unknown : number.format(value));
const percent = (value) => (value === null ? say.unknown : `${value.toFixed(1)}%`);
const amount = (figure) => (figure.value === null ? say.unknown : figure.text.replace(/ cores?$/, ""));
const missing = (figure) => (figure.unknown ? say.partly(figure.unknown) : "");
const about = (usage) => (usage.unknown && usage.value !== null ? "≈ " : "") + percent(usage.value);
const level = (value) => (value === null ? "" : value >= 90 ? "bad" : value >= 75 ? "warn" : "good");
const words = (word) => word.replaceAll("_", " ");
const clock = (at) => new Intl.DateTimeFormat(choice.language, { timeStyle: "medium", hourCycle: "h23" }).format(at);

function moment(text) {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return make("span", {}, text || say.unknown);
  const year = at.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  const short = { year, month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return make("time", { dateTime: text, title: at.toLocaleString(choice.language) },
    new Intl.DateTimeFormat(choice.language, short).format(at));
}

function meter(usage, name) {
  const bar = make("div", { className: `meter ${level(usage.value)}` }, make("i"));
  bar.firstChild.style.width = `${usage.value ?? 0}%`;
  bar.role = "meter";
  bar.ariaLabel = name;
  bar.ariaValueMin = 0;
  bar.ariaValueMax = 100;
  bar.ariaValueNow = usage.value?.toFixed(1) ?? 0;
  bar.ariaValueText = about(usage);
  return bar;
}

function showTiles({ clusters, alert_counts: alerts, disks }) {
  const sum = (list, field) => list.reduce((all, one) => all + (one[field] ?? 0), 0);
  const lost = clusters.filter((one) => one.connect_state !== "CONNECTED").length;
  const kinds = Object.values(disks);
  const faulty = sum(kinds, "error");
  const worst = KINDS.find((kind) => alerts[kind]);
  const tones = { critical: "bad", notice: "warn", info: "calm", other: "calm" };
  const tiles = [
    ["alerts", alerts.total, worst ? `${count(alerts[worst])} ${say[worst].toLowerCase()}` : say.fine, tones[worst] ?? "good"],
    ["clusters", clusters.length, lost ? say.disconnected(lost) : say.fine, lost ? "bad" : "good"],
    ["hosts", sum(clusters, "hosts"), say.perCluster(clusters.length), ""],
    ["vms", sum(clusters, "vms"), say.running(count(sum(clusters, "running_vms"))), ""],
    ["disks", sum(kinds, "total"), faulty ? say.faulty(faulty) : say.fine, faulty ? "bad" : "good"],
  ];
  $("tiles").replaceChildren(...tiles.map(([name, value, note, tone]) => {
    const tile = make("li", { className: `card tile ${tone}` },
      make("span", { className: "label" }, say[name]),
      make("strong", {}, count(value)),
      make("span", { className: "note" }, note));
    tile.dataset.tile = name;
    return tile;
  }));
}

const cards = Object.fromEntries(USES.map((name) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of [["viewBox", "0 0 100 100"], ["preserveAspectRatio", "none"], ["role", "img"]]) {
    svg.setAttribute(key, value);
  }
  const figure = make("figure", {},
    make("div", { className: "plot" }, make("small", {}, "100%"), svg, make("p", { className: "empty" }), make("span", { className: "at" })),
    make("figcaption", {}, make("time"), make("time")));
  const top = make("div", { className: "use-top" });
  const card = make("section", { className: "card use" }, top, figure);
  card.dataset.use = name;
  $("uses").append(card);
  return [name, { card, top, chart: new Chart(figure) }];
}));

function showUse(name, part) {
  const { card, top } = cards[name];
  card.ariaLabel = say[name];
  const figures = ["used", "total", "available", "failed", "cores"]
    .filter((key) => part[key] && !(key === "failed" && part.failed.value === 0));
  top.replaceChildren(
    make("h2", {}, say[name]),
    make("strong", { className: level(part.usage.value) || "none", title: missing(part.usage) }, about(part.usage)),
    meter(part.usage, say[name]),
    make("dl", {}, ...figures.map((key) => make("div", { title: missing(part[key]) },
      make("dt", {}, say[key]), make("dd", {}, amount(part[key]))))));
}

function showCurves() {
  const gap = Math.max(SILENCE, 4000 * (state?.interval ?? 0));
  USES.forEach((name, place) => {
    const points = uses.map((use) => [use[0], use[place + 1]]).filter(([, value]) => value !== null);
    cards[name].chart.draw(points, gap, percent, clock, say);
  });
}

function showClusters(clusters) {
  $("no-clusters").hidden = clusters.length > 0;
  $("clusters").parentElement.hidden = clusters.length === 0;
  $("clusters").replaceChildren(...clusters.map((cluster) => {
    const lost = cluster.connect_state !== "CONNECTED";
    const tone = lost || cluster.alerts.critical ? "bad" : cluster.alerts.notice ? "warn" : "good";
    const kind = [words(cluster.type), cluster.version, cluster.hypervisor].filter(Boolean).join(" · ");
    const cells = USES.map((name) => {
      const usage = cluster[name]?.usage;
      if (usage?.value == null) return make("td", { className: "none" }, usage ? say.unknown : "–");
      return make("td", {}, make("span", { className: "figure" }, about(usage)), meter(usage, say[name]));
    });
    return make("tr", {},
      make("th", { scope: "row", className: `dot ${tone}` }, cluster.name,
        make("small", lost ? { className: "bad" } : {}, lost ? say.disconnectedOne : kind)),
      make("td", { className: "number" }, count(cluster.running_vms), make("small", {}, `/ ${count(cluster.vms)}`)),
      ...cells);
  }));
}

function showDisks(disks) {
  const kinds = Object.entries(disks);
  $("no-disks").hidden = kinds.length > 0;
  $("disks").parentElement.hidden = kinds.length === 0;
  const tones = { healthy: "", warning: "warn", error: "bad", unknown: "warn" };
  $("disks").replaceChildren(...kinds.map(([kind, states]) => make("tr", {},
    make("th", { scope: "row" }, words(kind)),
    ...Object.entries(tones).map(([name, tone]) =>
      make("td", { className: `number ${states[name] ? tone : "none"}` }, count(states[name]))))));
}

function alertRow(alert) {
  const details = make("details", {}, make("summary", {}, alert.message),
    make("dl", {}, ...["cause", "impact", "solution"].filter((key) => alert[key])
      .map((key) => make("div", {}, make("dt", {}, say[key]), make("dd", {}, alert[key])))));
  const place = make("small", {}, alert.where, make("span", { className: "narrow" }, " · ", moment(alert.since)));
  const name = alert.kind === "other" ? words(alert.severity) || say.unknown : say[alert.kind];
  const row = make("tr", {},
    make("td", {}, make("span", { className: `badge ${alert.kind}` }, name)),
    make("td", {}, details, place),
    make("td", { className: "roomy" }, moment(alert.since)));
  row.dataset.kind = alert.kind;
  return row;
}

const rows = new Map(); // by id: rows stay while alerts last, and so does what is open or in focus

function showAlerts(alerts, counts) {
  const present = new Set(alerts.map((alert) => alert.id));
  for (const [id, { row }] of rows) {
    if (!present.has(id)) {
      row.remove();
      rows.delete(id);
    }
  }
  alerts.forEach((alert, place) => {
    const text = choice.language + JSON.stringify(alert);
    const old = rows.get(alert.id);
    let row = old?.row;
    if (old?.text !== text) {
      row = alertRow(alert);
      row.querySelector("details").open = old?.row.querySelector("details").open ?? false;
      old?.row.replaceWith(row);
      rows.set(alert.id, { row, text });
    }
    const there = $("alerts").children[place] ?? null;
    if (there !== row) $("alerts").insertBefore(row, there);
    row.hidden = choice.severity !== "all" && alert.kind !== choice.severity;
  });
  const { severity } = choice;
  const total = severity === "all" ? counts.total : counts[severity];
  const shown = alerts.filter((alert) => severity === "all" || alert.kind === severity).length;
  $("no-alerts").hidden = total > 0;
  $("no-alerts").textContent = severity === "all" ? say.noAlerts : say.noneOf(say[severity]);
  $("more-alerts").hidden = shown === total;
  $("more-alerts").textContent = say.more(count(total - shown));
  $("alerts").parentElement.hidden = total === 0;
}

function showSeverities(counts) {
  for (const label of $("severities").querySelectorAll("label")) {
    const kind = label.firstChild.value;
    const [name, figure] = label.querySelectorAll("span");
    name.textContent = say[kind];
    figure.textContent = counts ? count(kind === "all" ? counts.total : counts[kind]) : "";
    label.hidden = kind === "other" && choice.severity !== "other" && !counts?.other;
  }
}

function showHealth() {
  const trouble = !connected ? [say.lost, say.lostHint, ""]
    : state?.trouble ? [say.down, say.downSince(clock(new Date(state.trouble.since))), state.trouble.message]
    : null;
  $("live").dataset.state = trouble ? "down" : state ? "live" : "waiting";
  $("live").firstChild.textContent =
    trouble ? (state?.board ? say.stale : say.nothing) : state ? say.live : say.connecting;
  $("built").textContent = state?.board ? clock(new Date(state.board.built_at)) : "";
  // Only what changes is written: screen readers say it again each time.
  [...$("banner").children].forEach((line, place) => {
    const text = trouble?.[place] ?? "";
    if (line.textContent !== text) line.textContent = text;
  });
  $("banner").hidden = !trouble;
  document.body.classList.toggle("stale", Boolean(trouble));
}

function show() {
  showHealth();
  const board = state?.board;
  showSeverities(board?.alert_counts);
  showCurves();
  document.querySelector("main").ariaBusy = !board;
  if (!board) return;
  document.title = `${board.alert_counts.critical ? `(${board.alert_counts.critical}) ` : ""}CloudTower`;
  showTiles(board);
  USES.forEach((name) => showUse(name, board[name]));
  showClusters(board.clusters);
  showDisks(board.disks);
  showAlerts(board.alerts, board.alert_counts);
}

function addUses(more) {
  const last = uses.at(-1)?.[0] ?? 0;
  uses.push(...more.filter(([at]) => at > last));
  uses = uses.filter(([at]) => at > uses.at(-1)[0] - REMEMBERED);
}

function listen() {
  source?.close();
  source = new EventSource(`events?language=${choice.language}`);
  heard();
  source.onopen = () => {
    connected = true;
    showHealth();
  };
  source.addEventListener("uses", (event) => addUses(JSON.parse(event.data)));
  source.addEventListener("state", (event) => {
    heard();
    state = JSON.parse(event.data);
    $("endpoint").textContent = state.endpoint.replace(/^https?:\/\//, "");
    if (state.board && !state.trouble) {
      const { built_at: built, cpu, memory, storage } = state.board;
      addUses([[Date.parse(built), cpu.usage.value, memory.usage.value, storage.usage.value]]);
    }
    show();
  });
  source.onerror = (event) => {
    connected = false;
    showHealth();
    // The browser tries again by itself, but not when it got another answer than a stream.
    if (event.target.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN);
  };
}

// A connection can be dead without an error: after a while of silence, take another.
function heard() {
  clearTimeout(watchdog);
  watchdog = setTimeout(listen, Math.max(SILENCE, 4000 * (state?.interval ?? 0)));
}

function speak() {
  say = texts[choice.language];
  number = new Intl.NumberFormat(choice.language);
  document.documentElement.lang = choice.language;
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = say[element.dataset.text];
  }
}

function choose(name, value) {
  choice[name] = value;
  const address = new URL(location.href);
  address.searchParams.set(name, value);
  history.replaceState(null, "", address);
}

for (const kind of ["all", ...KINDS]) {
  $("severities").append(make("label", {},
    make("input", { type: "radio", name: "severity", value: kind, checked: kind === choice.severity }),
    make("span"), make("span", { className: "count" })));
}
$("severities").addEventListener("change", (event) => {
  choose("severity", event.target.value);
  show();
});
document.querySelector(`[name=language][value=${choice.language}]`).checked = true;
$("languages").addEventListener("change", (event) => {
  choose("language", event.target.value);
  speak();
  show();
  listen();
});

speak();
show();
listen();
