// The curve of one percentage over time, as SVG: 0 to 100 % from bottom to top.

const SVG = "http://www.w3.org/2000/svg";

export class Chart {
  constructor(figure) {
    this.figure = figure;
    this.svg = figure.querySelector("svg");
    [this.area, this.line, this.cross] = ["area", "line", "cross"].map((name) => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", name);
      return this.svg.appendChild(path);
    });
    this.points = [];
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.unpoint());
  }

  // Points are [time in ms, percentage], in the order of time. Where there is none for longer than
  // `gap` ms nobody looked: nothing is known of that time, and nothing drawn.
  draw(points, gap, percent, clock, texts) {
    Object.assign(this, { points, gap, percent, clock });
    const known = points.length > 1;
    this.figure.classList.toggle("bare", !known);
    this.figure.querySelector(".empty").textContent = known ? "" : texts.growing;
    const [from, to] = this.figure.querySelectorAll("time");
    from.textContent = known ? clock(points[0][0]) : "";
    to.textContent = known ? clock(points.at(-1)[0]) : "";
    const runs = this.runs().map((run) => run.map(([at, value]) => `${this.x(at)} ${100 - value}`));
    this.line.setAttribute("d", runs.map((run) => `M${run.join("L")}`).join(""));
    this.area.setAttribute("d", this.runs().map((run, place) =>
      `M${this.x(run[0][0])} 100L${runs[place].join("L")}L${this.x(run.at(-1)[0])} 100Z`).join(""));
    const values = points.map(([, value]) => value);
    this.svg.setAttribute("aria-label", known
      ? texts.range(percent(values.at(-1)), percent(Math.min(...values)), percent(Math.max(...values)))
      : texts.growing);
  }

  x(at) {
    const [first, last] = [this.points[0][0], this.points.at(-1)[0]];
    return last === first ? 100 : +(((at - first) / (last - first)) * 100).toFixed(2);
  }

  runs() {
    const runs = [];
    this.points.forEach((point, place) => {
      const before = this.points[place - 1];
      if (!before || point[0] - before[0] > this.gap) runs.push([]);
      runs.at(-1).push(point);
    });
    return runs;
  }

  point(event) {
    if (this.points.length < 2) return;
    const box = this.svg.getBoundingClientRect();
    const wanted = ((event.clientX - box.left) / box.width) * 100;
    const nearest = this.points.reduce((best, point) =>
      Math.abs(this.x(point[0]) - wanted) < Math.abs(this.x(best[0]) - wanted) ? point : best);
    this.cross.setAttribute("d", `M${this.x(nearest[0])} 0V100`);
    this.figure.querySelector(".at").textContent =
      `${this.clock(nearest[0])} · ${this.percent(nearest[1])}`;
  }

  unpoint() {
    this.cross.setAttribute("d", "");
    this.figure.querySelector(".at").textContent = "";
  }
}
