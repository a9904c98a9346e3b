// *Explore*: any metric of any subject, with its band and its anomalies.

import { address } from "./api.js";
import { h, Region } from "./dom.js";
import { anomalyLine, empty, link, loading, section } from "./parts.js";
import { SeriesFigure } from "./series.js";
import { METRICS, metricName, time } from "./units.js";

const RANGES = [
  ["15 min", 900e6],
  ["1 h", 3600e6],
  ["6 h", 21600e6],
  ["24 h", 86400e6],
];
const DEFAULT_US = 3600e6;
const MARKS = 200;

export class ExploreView {
  title = "Explore";

  constructor(page) {
    this.page = page;
    this.chosen = {};
    const changed = (name) => (event) =>
      this.#go({
        ...this.chosen,
        ...(name === "application" ? { model: null } : {}),
        [name]: event.target.value,
      });
    this.application = h("select", { change: changed("application") });
    this.model = h("select", { change: changed("model") });
    this.metric = h("select", { change: changed("metric") });
    this.ranges = h("span", {
      class: "chips",
      role: "group",
      "aria-label": "Range up to the newest data",
    });
    this.moves = h("nav", { class: "pager", "aria-label": "Move in time" });
    this.figure = new SeriesFigure((since, until) => this.#go({ ...this.chosen, since, until }));
    this.nothing = h("div");
    const list = h("div", {}, loading("anomalies"));
    this.list = new Region(list, (items) =>
      items.length
        ? h("ul", { class: "lines" }, items.map(anomalyLine))
        : empty("No anomaly of this metric in this range."),
    );
    const label = (text, control) => h("label", {}, h("span", {}, text), control);
    this.body = h(
      "div",
      {},
      section("Series", [this.figure.element, this.moves]),
      section("Its anomalies", list),
    );
    this.root = h(
      "div",
      { class: "explore" },
      h("h1", {}, "Explore"),
      h(
        "div",
        { class: "filters card", role: "group", "aria-label": "What to show" },
        label("Application", this.application),
        label("Model", this.model),
        label("Metric", this.metric),
        this.ranges,
      ),
      this.nothing,
      this.body,
    );
  }

  focusFilter() {
    this.application.focus();
  }

  async show(place, ask, kinds) {
    const { tenant, query } = place;
    const subjects = await this.page.subjects(tenant, kinds === null || kinds.has("slow"));
    this.body.hidden = !subjects.length;
    this.nothing.replaceChildren(
      ...(subjects.length
        ? []
        : [
            empty(
              "No series is stored for this tenant yet.",
              "Series come with closed buckets, some seconds after the first events.",
            ),
          ]),
    );
    if (!subjects.length) return;
    const subject = this.#choose(subjects, query);
    this.body.hidden = !subject;
    if (!subject) return;
    const span = this.#span(subject, query);
    const { application, model, metric } = this.chosen;
    const [series, anomalies] = await Promise.all([
      ask("/series", { tenant, application, model, metric, ...span }),
      ask("/anomalies", { tenant, application, model, metric, ...span, limit: MARKS }),
    ]);
    const marks = anomalies.items.map((one) => ({
      from: one.window_start,
      to: one.window_end,
      severity: one.severity,
    }));
    this.list.show(anomalies.items.slice(0, 50));
    await this.figure.show(
      `${application}/${model}`,
      metric,
      series.items,
      marks,
      [span.since, span.until],
      this.page.truth,
    );
  }

  /**
   * The subject that the address names; what it leaves open is chosen by the newest data. Null, and
   * a note on the page, if there is no such series.
   */
  #choose(subjects, query) {
    const newestFirst = subjects.toSorted((a, b) => b.newest - a.newest);
    const wanted = {
      application: query.get("application"),
      model: query.get("model"),
      metric: query.get("metric"),
    };
    const fits = newestFirst.filter(
      (one) =>
        [null, one.application].includes(wanted.application) &&
        [null, one.model].includes(wanted.model),
    );
    const metric = wanted.metric ?? METRICS[0];
    const subject = METRICS.includes(metric) ? fits[0] : undefined;
    const application = wanted.application ?? subject?.application ?? "";
    const model = wanted.model ?? subject?.model ?? "";
    const own = subjects.filter((one) => one.application === application);
    offer(
      this.application,
      [...new Set(subjects.map((one) => one.application))].sort(),
      application,
    );
    offer(this.model, own.map((one) => one.model).sort(), model);
    offer(this.metric, METRICS, metric, metricName);
    this.chosen = {
      tenant: this.page.place.tenant,
      application,
      model,
      metric,
      range: query.get("range"),
      since: query.get("since"),
      until: query.get("until"),
    };
    if (!subject)
      this.nothing.replaceChildren(
        empty(
          `No series of ${[application, model].filter(Boolean).join("/")}, ` +
            `${metricName(metric)}, is stored for ${this.page.place.tenant}.`,
          "It may have been deleted (retention), or the address names another. " +
            "Choose an existing one above.",
        ),
      );
    return subject ?? null;
  }

  /** A range up to the newest data, which may be long ago, or what the address names. */
  #span(subject, query) {
    const [since, until] = [Number(query.get("since")), Number(query.get("until"))];
    const fixed = since > 0 && until > since;
    const length = fixed
      ? until - since
      : (RANGES.find(([name]) => name === query.get("range"))?.[1] ?? DEFAULT_US);
    // The range ends now if it contains the newest data, so that missing data are visible; a
    // recorded hour ends with its data.
    const now = Math.ceil(Date.now() / 60e3) * 60e6;
    const end = fixed ? until : now - subject.newest < length ? now : subject.newest + 10e6;
    const span = { since: end - length, until: end };
    const chips = RANGES.map(([name, us]) =>
      h(
        "button",
        {
          type: "button",
          class: "chip",
          "data-key": name,
          "aria-pressed": String(!fixed && us === length),
          click: () => this.#go({ ...this.chosen, range: name, since: null, until: null }),
        },
        name,
      ),
    );
    swap(this.ranges, chips, `${fixed} ${length}`);
    const at = (to) =>
      address("/explore", { ...this.chosen, range: null, since: to - length, until: to });
    const moves = [
      link(at(end - length), "‹ Earlier"),
      h("span", { class: "hint" }, time(span.since), " to ", time(span.until)),
      end < subject.newest
        ? link(at(Math.min(end + length, subject.newest + 10e6)), "Later ›")
        : null,
      fixed
        ? link(address("/explore", { ...this.chosen, since: null, until: null }), "Newest »")
        : null,
    ];
    swap(this.moves, moves.filter(Boolean), JSON.stringify([this.chosen, span]));
    return span;
  }

  #go(chosen) {
    this.page.go(address("/explore", chosen));
  }

  close() {
    this.figure.close();
  }
}

/** Fills a list; a chosen value that is not in it comes first, as not stored. */
function offer(select, values, chosen, name = (one) => one) {
  const missing = values.includes(chosen) ? [] : [chosen];
  const key = JSON.stringify([missing, values]);
  if (select.dataset.shown !== key) {
    const label = (one) =>
      missing.includes(one) ? `${name(one) || "any"} (not stored)` : name(one);
    select.replaceChildren(
      ...[...missing, ...values].map((one) =>
        h(
          "option",
          { value: one },
          [...label(one)].length > 60 ? `${[...label(one)].slice(0, 59).join("")}…` : label(one),
        ),
      ),
    );
    select.dataset.shown = key;
  }
  select.value = chosen;
}

/** Replaces the children if `key` has changed, and keeps the focus. */
function swap(element, children, key) {
  if (element.dataset.shown === key) return;
  element.dataset.shown = key;
  const held = element.contains(document.activeElement)
    ? [...element.children].indexOf(document.activeElement)
    : -1;
  element.replaceChildren(...children);
  element.children[held]?.focus();
}
