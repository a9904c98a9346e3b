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

/** What the numbers of the deviation detector mean, since its version 2. */
const MEANINGS = {
  window: "buckets of the window that shows it",
  looks: "logarithm of the number of looks an hour that this window gets",
  exposure: "in the window: successful calls that have the size, all calls, or buckets",
  seen: "in the window: sum of logarithms of the size, failed calls, or calls",
  usual: "mean logarithm, share of failures, or calls in a bucket",
  spread: "variance of the window's mean logarithm, or relative excess variance of the count",
  freedom: "degrees of freedom of Student's distribution; 0 for counts",
  effect: "the change: difference of logarithms or of shares",
  deviation: "standard deviation of the change, in the same unit",
  least_effect: "minimum change that is reported, in the same unit",
  threshold: "threshold of the score",
  scale: "scale of the Gumbel distribution that the threshold comes from",
  whole: "mean logarithm of the latency, or cost, of whole calls in the window",
  measure:
    "0 latency, 1 time to first token, 2 tokens, 3 cost, 4 time per token, 5 cost per token," +
    " 6 failures, 7 calls above, 8 calls below",
};

const meaningsOf = (one) =>
  one.detector === "deviation" && one.detector_version >= 2 ? MEANINGS : {};

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
    this.evidence.show(one.evidence, one.sample_event_ids, meaningsOf(one));
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

function evidenceOf(evidence, ids, meanings) {
  const rows = evidence
    .slice(0, 100)
    .map((one) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, cut(one.name, 60)),
        h("td", { class: "number" }, plain(one.value)),
        h("td", { class: "hint" }, meanings[one.name] ?? ""),
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
