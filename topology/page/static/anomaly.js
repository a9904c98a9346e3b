// One *anomaly*: its series with the band and its mark, why it was reported, and the numbers to
// compute
// it again.

import { address } from "./api.js";
import { cut, h, Region } from "./dom.js";
import { empty, facts, idList, link, loading, section, severity, observedText } from "./parts.js";
import { errorsOf } from "./errors.js";
import { numbersOf } from "./numbers.js";
import { SeriesFigure } from "./series.js";
import { clock, measured, metricName, METRICS, plain, time } from "./units.js";

const BEFORE_US = 1800e6;
const AFTER_US = 600e6;

/** What the numbers of the deviation detector mean (of its state before the bucket). */
const MEANINGS = {
  value: "the bucket's value as it is judged: logarithm of a size, share, or calls",
  requests: "calls in the bucket",
  learnt: "buckets that the estimates are based on",
  centre: "what is usual, on the same scale as value",
  spread: "its noise",
  fast: "fast chart, before this bucket",
  slow: "slow chart, before this bucket",
  fast_variance: "variance of the fast chart",
  slow_variance: "variance of the slow chart",
  residual: "how far this bucket is off, in standard deviations",
  effect: "size of the change",
  least_effect: "minimum size that is reported",
  drifting: "1 when the slow chart reported it, 0 when the fast one did",
};

export class AnomalyView {
  title = "Anomaly";

  constructor(page) {
    this.page = page;
    const head = h("div", {}, loading("the anomaly"));
    const why = h("div");
    const evidence = h("div", {}, loading("evidence"));
    this.figure = new SeriesFigure();
    this.noSeries = h(
      "p",
      { class: "empty", hidden: true },
      "This verdict is about no series that is stored.",
    );
    const numbers = h("div");
    this.numbers = new Region(numbers, numbersOf);
    const errors = h("div");
    this.errors = new Region(errors, errorsOf);
    this.head = new Region(head, headOf);
    this.why = new Region(why, whyOf);
    this.evidence = new Region(evidence, evidenceOf);
    this.root = h(
      "div",
      { class: "anomaly" },
      head,
      h(
        "div",
        { class: "wide" },
        numbers,
        errors,
        section("Series", [this.figure.element, this.noSeries]),
        section("Evidence", evidence),
      ),
      h("div", { class: "side" }, section("Why", why)),
    );
  }

  async show(place, ask) {
    const { tenant, id } = place;
    const one = await ask(`/anomalies/${encodeURIComponent(id)}`, { tenant });
    this.title = `${metricName(one.metric)} of ${one.application}`;
    this.head.show(one);
    this.numbers.show({ ...one, since: one.window_start, at: one.window_end }, false);
    this.errors.show(one, this.page.me?.trace_url ?? null);
    this.why.show(one);
    this.evidence.show(one.evidence, one.sample_event_ids);
    const has = one.model !== null && METRICS.includes(one.metric);
    this.figure.element.hidden = !has;
    this.noSeries.hidden = has;
    if (!has) return;
    const span = { since: one.window_start - BEFORE_US, until: one.window_end + AFTER_US };
    const series = await ask("/series", {
      tenant,
      application: one.application,
      model: one.model,
      metric: one.metric,
      ...span,
    });
    const mark = { from: one.window_start, to: one.window_end, severity: one.severity };
    await this.figure.show(
      `${one.application}/${one.model}`,
      one.metric,
      series.items,
      [mark],
      [span.since, Math.min(span.until, Math.max(one.window_end, Date.now() * 1000))],
      this.page.truth,
    );
  }

  close() {
    this.figure.close();
  }
}

function headOf(one) {
  const subject = [one.application, one.model].filter(Boolean).join("/");
  const { tenant, application, model, metric } = one;
  const around = {
    tenant,
    application,
    model,
    metric,
    since: one.window_start - BEFORE_US,
    until: one.window_end + AFTER_US,
  };
  return h(
    "div",
    { class: `head edge-${one.severity}` },
    h("p", { class: "crumbs" }, link("/", "Now"), " › anomaly"),
    h("h1", {}, metricName(one.metric), " of ", cut(subject, 120)),
    h("p", { class: "marks" }, severity(one.severity), h("span", {}, observedText(one))),
    facts([
      ["Tenant", cut(one.tenant, 80)],
      ["Window", [time(one.window_start), " to ", time(one.window_end)]],
      ["When", time(one.event_time, true)],
      ["User", one.user === null ? null : cut(one.user, 80)],
      ["Rule", one.rule === null ? null : cut(one.rule, 80)],
      ["Detector", `${one.detector}, version ${one.detector_version}`],
      ["Confidence", `${plain(one.confidence * 100, 3)} %`],
    ]),
    one.model === null
      ? null
      : h("p", { class: "actions" }, link(address("/explore", around), "Explore around it")),
  );
}

function whyOf(one) {
  const times = one.expected ? one.observed / one.expected : null;
  const far = times !== null && times >= 1.05 ? `, ${plain(times, 3)} times what was expected` : "";
  const window = `between ${clock(one.window_start)} and ${clock(one.window_end)}`;
  const expected =
    one.expected === null
      ? "No number was expected; a rule or a check was broken."
      : `Expected was ${measured(one.metric, one.expected)}.`;
  return [
    h("blockquote", {}, cut(one.reason, 600)),
    h(
      "p",
      {},
      `${cap(metricName(one.metric))} was ${measured(one.metric, one.observed)} ${window}: ` +
        `${one.direction} what is usual${far}. ${expected}`,
    ),
    h(
      "p",
      {},
      "The detector ",
      h("b", {}, cut(one.detector, 60)),
      ` scored it ${plain(one.score)} on its own scale and is ` +
        `${plain(one.confidence * 100, 3)} % sure.`,
    ),
    facts([
      ["Settings version", h("code", {}, cut(one.settings_version, 64))],
      [
        "Log coordinates",
        h("code", {}, `lane ${one.lane}, offset ${one.offset}, ordinal ${one.ordinal}`),
      ],
      ["Id", h("code", {}, cut(one.id, 64))],
    ]),
    h("p", { class: "hint" }, "sentinel explain ID prints the same from the log."),
  ];
}

const cap = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

function evidenceOf(evidence, ids) {
  const rows = evidence
    .slice(0, 100)
    .map((one) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, cut(one.name, 60)),
        h("td", { class: "number" }, plain(one.value)),
        h("td", { class: "hint" }, MEANINGS[one.name] ?? ""),
      ),
    );
  const head = h(
    "tr",
    {},
    h("th", { scope: "col" }, "Number"),
    h("th", { scope: "col", class: "number" }, "Value"),
    h("th", { scope: "col" }, "Meaning"),
  );
  const table = h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Evidence" },
    h("table", {}, h("thead", {}, head), h("tbody", {}, rows)),
  );
  const machinery = h(
    "details",
    { "data-key": "machinery" },
    h("summary", {}, "How it was computed: the detector's own numbers"),
    table,
  );
  return [
    evidence.length ? machinery : empty("There are no numbers."),
    h("h3", {}, "Some of the events"),
    ids.length ? idList(ids) : empty("No event is named."),
  ];
}
