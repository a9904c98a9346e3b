// A series as a picture, by uPlot, which `make setup` fetches from npm. Without it there is none.

import { h } from "./dom.js";
import { measured } from "./units.js";

let library = null;

/** uPlot, loaded when first needed; null where it was not installed. */
export function uPlot() {
  library ??= Promise.all([import("/static/vendor/uPlot.esm.js"), styles()]).then(
    ([made]) => made.default,
    () => null,
  );
  return library;
}

function styles() {
  return new Promise((done, failed) => {
    document.head.append(
      h("link", {
        rel: "stylesheet",
        href: "/static/vendor/uPlot.min.css",
        load: done,
        error: failed,
      }),
    );
  });
}

/** Columns for uPlot: time in s, low, high, expected, observed; a gap where buckets are missing. */
export function columns(points) {
  const made = [[], [], [], [], []];
  let end = null;
  for (const one of points) {
    if (end !== null && one.window_start > end)
      [end / 1e6, null, null, null, null].forEach((value, row) => made[row].push(value));
    [one.window_start / 1e6, one.low, one.high, one.expected, one.observed].forEach((value, row) =>
      made[row].push(value),
    );
    end = one.window_end;
  }
  return made;
}

/**
 * Draws into `container`; `marks` are {from, to, severity}, µs; `zoomed(from, to)` is called with a
 * selected range, µs.
 */
export class Chart {
  constructor(library, container, metric, zoomed) {
    this.library = library;
    this.container = container;
    this.metric = metric;
    this.zoomed = zoomed;
    this.marks = [];
    this.points = [];
    this.plot = null;
    this.read = () => {};
    this.resized = new ResizeObserver(() => this.#fit());
    this.resized.observe(container);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.recoloured = () => this.show(this.points, this.marks, this.span);
    this.scheme.addEventListener("change", this.recoloured);
    document.addEventListener("sentinel-theme", this.recoloured);
  }

  show(points, marks, span) {
    this.points = points;
    this.marks = marks;
    this.span = span;
    this.plot?.destroy();
    this.plot = points.length
      ? new this.library(this.#options(), columns(points), this.container)
      : null;
  }

  destroy() {
    this.resized.disconnect();
    this.scheme.removeEventListener("change", this.recoloured);
    document.removeEventListener("sentinel-theme", this.recoloured);
    this.plot?.destroy();
    this.plot = null;
  }

  #fit() {
    const width = this.container.clientWidth;
    if (this.plot && width && Math.abs(width - this.plot.width) > 1)
      this.plot.setSize({ width, height: this.plot.height });
  }

  #options() {
    const ink = colours(this.container);
    const axis = {
      stroke: ink.muted,
      grid: { stroke: ink.grid, width: 1 },
      ticks: { stroke: ink.grid, width: 1, size: 4 },
      font: "12px system-ui, sans-serif",
    };
    const metric = this.metric;
    return {
      width: Math.max(280, this.container.clientWidth),
      height: innerWidth < 600 ? 220 : 300,
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: Boolean(this.zoomed), y: false, setScale: false },
        points: { size: 7 },
      },
      scales: { x: { range: () => this.#across() }, y: { range: () => this.#upTo() } },
      axes: [
        {
          ...axis,
          size: 32,
          values: (_, splits, __, ___, step) => splits.map((at) => moment(at, step)),
        },
        {
          ...axis,
          size: 74,
          values: (_, splits) =>
            splits.map((value) => measured(metric, value).replace(" tokens", "")),
        },
      ],
      series: [
        {},
        { stroke: ink.edge, width: 1, points: { show: false } },
        { stroke: ink.edge, width: 1, points: { show: false } },
        { stroke: ink.expected, width: 1.5, dash: [6, 4], points: { show: false } },
        { stroke: ink.observed, width: 2, points: { show: this.points.length < 4, size: 5 } },
      ],
      bands: [{ series: [2, 1], fill: ink.band }],
      hooks: {
        drawAxes: [(plot) => this.#drawMarks(plot, ink)],
        setCursor: [
          (plot) =>
            this.read(plot.cursor.idx === null ? null : plot.data[0][plot.cursor.idx] * 1e6),
        ],
        setSelect: [(plot) => this.#choose(plot)],
      },
    };
  }

  #across() {
    if (this.span) return [this.span[0] / 1e6, this.span[1] / 1e6];
    return [this.points[0].window_start / 1e6, this.points.at(-1).window_end / 1e6];
  }

  #upTo() {
    let seen = 0;
    let band = 0;
    for (const one of this.points) {
      seen = Math.max(seen, one.observed ?? 0, one.expected ?? 0);
      band = Math.max(band, one.high ?? 0);
    }
    // A very wide band, as at the start and in buckets with few calls, would flatten everything
    // else.
    return [0, Math.max(seen, Math.min(band, 1.5 * seen)) * 1.08 || 1];
  }

  #drawMarks(plot, ink) {
    const { ctx, bbox } = plot;
    ctx.save();
    for (const mark of this.marks) {
      const from = plot.valToPos(mark.from / 1e6, "x", true);
      const to = Math.max(from + 3 * devicePixelRatio, plot.valToPos(mark.to / 1e6, "x", true));
      if (to < bbox.left || from > bbox.left + bbox.width) continue;
      const left = Math.max(bbox.left, from);
      const width = Math.min(bbox.left + bbox.width, to) - left;
      ctx.fillStyle = ink.mark;
      ctx.fillRect(left, bbox.top, width, bbox.height);
      ctx.fillStyle = ink.markHead;
      ctx.fillRect(left, bbox.top, width, 4 * devicePixelRatio);
    }
    ctx.restore();
  }

  #choose(plot) {
    if (plot.select.width < 6) return;
    const [from, to] = [plot.select.left, plot.select.left + plot.select.width].map((x) =>
      Math.round(plot.posToVal(x, "x") * 1e6),
    );
    this.zoomed?.(from, to);
  }
}

function moment(at, step) {
  const day = { day: "numeric", month: "short" };
  const hour = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return new Date(at * 1000).toLocaleString(
    undefined,
    step >= 86400 ? day : step < 60 ? { ...hour, second: "2-digit" } : hour,
  );
}

/** Colours of the style sheet as they are now. */
function colours(container) {
  const probe = h("span", { class: "probe" });
  container.append(probe);
  const made = {};
  for (const name of [
    "muted",
    "grid",
    "edge",
    "expected",
    "observed",
    "band",
    "mark",
    "markHead",
  ]) {
    probe.style.color = `var(--chart-${name.toLowerCase()})`;
    made[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return made;
}
