// One metric of one subject: the picture, what stands under the cursor, and the same as a table.

import { Chart, uPlot } from "./chart.js";
import { cut, h, Region } from "./dom.js";
import { badge } from "./parts.js";
import { clock, measured, metricName, metricUnit, time } from "./units.js";

const MAX_ROWS = 360;
const MAX_POINTS = 10_000;
/** A bucket is closed, stored and found after less than this. */
const CLOSING_US = 60e6;

/** A figure that is shown again and again, and destroyed when its view is left. */
export class SeriesFigure {
  constructor(zoomed = null) {
    this.zoomed = zoomed;
    this.chart = null;
    this.closed = false;
    this.shownKey = "";
    this.caption = h("figcaption");
    this.split = h("div");
    this.lanes = new Region(this.split, lanesNote);
    this.plot = h("div", { class: "plot", role: "img" });
    this.reading = h("p", { class: "reading" });
    this.note = h(
      "p",
      { class: "note", hidden: true },
      "Charts need uPlot, which make setup fetches from npm. The table has the same numbers.",
    );
    this.table = h("div", {
      class: "scroll",
      tabindex: "0",
      role: "region",
      "aria-label": "Numbers of the chart",
    });
    this.details = h(
      "details",
      { class: "numbers", toggle: () => this.#fillTable() },
      h("summary", {}, "The numbers as a table"),
      this.table,
    );
    this.element = h(
      "figure",
      { class: "series" },
      this.caption,
      this.split,
      this.plot,
      this.reading,
      key(),
      this.note,
      this.details,
    );
  }

  /**
   * `points` as the API has them, `marks` {from, to, severity}, `span` [from, to] in µs; `truth`
   * says until when nothing came, and not only nothing is known.
   */
  async show(subject, metric, stored, marks, span, truth) {
    const points =
      metric === "request_rate" ? withZeros(stored, Math.min(span[1], closedUntil(truth))) : stored;
    const lanes = Math.max(1, ...points.map((one) => one.lanes ?? 1));
    const shown = JSON.stringify([
      subject,
      metric,
      lanes,
      points.length,
      points[0],
      points.at(-1),
      marks,
      span,
    ]);
    if (shown === this.shownKey) return;
    this.shownKey = shown;
    this.points = points;
    this.marks = marks;
    this.metric = metric;
    const unit = metricUnit(metric);
    this.caption.replaceChildren(
      h("strong", {}, metricName(metric)),
      h("span", {}, " of ", cut(subject, 120)),
      unit ? h("small", {}, unit) : "",
    );
    this.plot.setAttribute(
      "aria-label",
      `Chart of ${metricName(metric)}: ${points.length} buckets, ${marks.length} marked. ` +
        "The table below has the numbers.",
    );
    this.lanes.show(lanes);
    this.#fillTable();
    this.#read(null);
    if (!points.length) {
      this.chart?.show([], [], span);
      return;
    }
    const library = await uPlot();
    if (this.closed || this.shownKey !== shown) return;
    this.plot.hidden = !library;
    this.note.hidden = Boolean(library);
    if (!library) {
      this.details.open = true;
      return;
    }
    if (this.chart?.metric !== metric) {
      this.chart?.destroy();
      this.chart = new Chart(library, this.plot, metric, this.zoomed);
      this.chart.read = (at) => this.#read(at);
    }
    this.chart.show(points, marks, span);
  }

  close() {
    this.closed = true;
    this.chart?.destroy();
    this.chart = null;
  }

  #read(at) {
    const one =
      at === null
        ? this.points.at(-1)
        : (this.points.find((point) => point.window_end > at) ?? this.points.at(-1));
    if (!one) {
      this.reading.replaceChildren("No bucket in this time.");
      return;
    }
    const band =
      one.low === null
        ? "no band yet"
        : `${measured(this.metric, one.low)} to ${measured(this.metric, one.high)}`;
    this.reading.replaceChildren(
      h("span", {}, clock(one.window_start)),
      h("span", {}, "observed ", h("b", {}, measured(this.metric, one.observed))),
      h("span", {}, "expected ", h("b", {}, measured(this.metric, one.expected))),
      h("span", {}, "band ", h("b", {}, band)),
    );
  }

  #fillTable() {
    if (!this.details.open) {
      this.table.replaceChildren();
      return;
    }
    const shown = this.points.slice(-MAX_ROWS).reverse();
    const marked = (one) =>
      this.marks.some((mark) => mark.from < one.window_end && mark.to > one.window_start);
    const rows = shown.map((one) =>
      h(
        "tr",
        { class: marked(one) ? "marked" : null },
        h("td", {}, time(one.window_start)),
        [one.observed, one.expected, one.low, one.high].map((value) =>
          h("td", { class: "number" }, measured(this.metric, value)),
        ),
        h("td", {}, marked(one) ? "anomaly" : ""),
      ),
    );
    const cut =
      this.points.length > MAX_ROWS
        ? h("caption", {}, `The newest ${MAX_ROWS} of ${this.points.length} buckets.`)
        : null;
    const head = ["Bucket from", "Observed", "Expected", "Band from", "Band to", "Mark"].map(
      (name) => h("th", { scope: "col" }, name),
    );
    this.table.replaceChildren(
      h("table", {}, cut, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)),
    );
  }
}

/**
 * Said where buckets come from more than one lane: what that does to the picture, and what ends it.
 */
function lanesNote(lanes) {
  if (lanes < 2) return null;
  const why = [
    "The producers of this application do not send all its events to one partition: they send " +
      "no key, a key other than tenant/application, or use a partitioner other than murmur2.",
    "Observed values are the total of all lanes. Each lane learns and judges only its own " +
      "part, so the expected band is combined from theirs, and a fault may be found later.",
  ];
  const what =
    "Set the key to tenant/application and the partitioner to murmur2 in every producer. " +
    "The application's anomaly misplaced_events names the likely cause.";
  return h(
    "details",
    { class: "lanes", "data-key": "lanes" },
    h("summary", {}, badge(`on ${lanes} lanes`, "warn"), " What this means and what to do"),
    why.map((one) => h("p", {}, one)),
    h("p", {}, what),
  );
}

/**
 * Buckets of no request: they are stored for nobody, but a bucket that is closed and not there had
 * none.
 */
export function withZeros(points, until) {
  if (!points.length) return points;
  const width = Math.min(...points.map((one) => one.window_end - one.window_start));
  const made = [];
  const fill = (from, to) => {
    for (let at = from; at + width <= to && made.length < MAX_POINTS; at += width)
      made.push({
        window_start: at,
        window_end: at + width,
        observed: 0,
        expected: null,
        low: null,
        high: null,
      });
  };
  for (const one of points) {
    if (made.length) fill(made.at(-1).window_end, one.window_start);
    made.push(one);
  }
  fill(made.at(-1).window_end, until);
  return made;
}

/**
 * Until when buckets are closed for certain: to a minute ago while everything works, else to the
 * newest data of anybody.
 */
function closedUntil(truth) {
  const overview = truth?.overview;
  if (!overview) return 0;
  const works = truth.isFresh && (overview.state === "live" || overview.state === "quiet");
  return works ? overview.at - CLOSING_US : (overview.newest ?? 0);
}

function key() {
  const entry = (kind, text) =>
    h("span", {}, h("i", { class: `key-${kind}`, "aria-hidden": "true" }), text);
  return h(
    "p",
    { class: "chart-key" },
    entry("observed", "observed"),
    entry("expected", "expected"),
    entry("band", "expected band"),
    entry("mark", "anomaly"),
  );
}
