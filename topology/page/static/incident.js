// One *incident*: what is wrong, how it went, its anomalies, who was notified and who was not, and
// why.

import { acknowledge, closeIncident, silence } from "./acting.js";
import { Problem } from "./api.js";
import { cut, h, Region } from "./dom.js";
import { messagesOf, outcome } from "./messages.js";
import {
  anomalyHref,
  anomalyLine,
  badge,
  empty,
  facts,
  idList,
  link,
  loading,
  names,
  section,
  severity,
} from "./parts.js";
import { SeriesFigure } from "./series.js";
import { isOpen, ownerOf, stateBadge } from "./incidents.js";
import { errorsOf } from "./errors.js";
import { leadOf, numbersOf } from "./numbers.js";
import { duration, metricName, METRICS, SEVERITIES, since as sinceThen, time } from "./units.js";

const MESSAGES = 100;
const BEFORE_US = 600e6;
const AFTER_US = 300e6;
const MAX_US = 24 * 3600e6;

export class IncidentView {
  title = "Incident";

  constructor(page) {
    this.page = page;
    const head = h("div", {}, loading("the incident"));
    const line = h("div", {}, loading("what happened"));
    const anomalies = h("div", {}, loading("anomalies"));
    const messages = h("div", {}, loading("messages"));
    this.figure = new SeriesFigure();
    this.picture = section("How it looks", this.figure.element);
    this.picture.hidden = true;
    const numbers = h("div");
    this.numbers = new Region(numbers, numbersOf);
    const errors = h("div");
    this.errors = new Region(errors, errorsOf);
    const events = h("div");
    this.events = new Region(events, (ids) =>
      ids.length ? section("Some of the events", idList(ids)) : null,
    );
    this.head = new Region(head, (incident, owner) => headOf(incident, owner, page));
    this.line = new Region(line, timeLine);
    this.anomalies = new Region(anomalies, anomalyList);
    this.messages = new Region(messages, messageTable);
    this.root = h(
      "div",
      { class: "incident" },
      head,
      h(
        "div",
        { class: "wide" },
        numbers,
        errors,
        this.picture,
        events,
        section("Anomalies", anomalies),
        section("Messages", messages),
      ),
      h("div", { class: "side" }, section("Time line", line)),
    );
  }

  async show(place, ask) {
    const { tenant, id } = place;
    const path = `/incidents/${encodeURIComponent(id)}`;
    const [incident, anomalies, messages, owners] = await Promise.all([
      ask(path, { tenant }),
      ask(`${path}/anomalies`, { tenant }),
      ask("/notifications", { tenant, incident_id: id, limit: MESSAGES }),
      // Acknowledgements come from Kafka; without it, the rest is shown all the same.
      ask("/acknowledgements", { tenant }).catch((problem) => {
        if (!(problem instanceof Problem) || problem.status === 401) throw problem;
        return { items: [] };
      }),
    ]);
    this.title = incident.title;
    this.head.show(incident, owners.items.find((one) => one.incident_id === id) ?? null);
    const lead = leadOf(incident, anomalies.items);
    this.numbers.show(lead, isOpen(incident));
    this.errors.show(lead ?? incident, this.page.me?.trace_url ?? null);
    this.events.show(lead?.sample_event_ids ?? []);
    this.anomalies.show(incident.anomaly_count, anomalies.items);
    this.messages.show(messages.items, messages.next !== null);
    this.line.show(incident, anomalies.items, messages.items);
    await this.#showSeries(incident, lead, anomalies.items, ask);
  }

  /**
   * The series that the incident is about; where it is about none, that of its most severe anomaly,
   * of several the one with the most anomalies.
   */
  async #showSeries(incident, lead, anomalies, ask) {
    const own = Map.groupBy(anomalies.filter(hasSeries), seriesOf);
    const [mostSevere] =
      [...own].sort((a, b) => rank(a[1]) - rank(b[1]) || b[1].length - a[1].length)[0] ?? [];
    const name = lead && hasSeries(lead) ? seriesOf(lead) : mostSevere;
    this.picture.hidden = !name;
    if (!name) return;
    const [application, model, metric] = JSON.parse(name);
    const since = incident.opened_at - BEFORE_US;
    // To now while it is open, whatever came last: what is missing must be seen to be missing.
    const end = isOpen(incident)
      ? Math.ceil(Date.now() / 60e3) * 60e6
      : (incident.resolved_at ?? incident.updated_at) + AFTER_US;
    const until = Math.min(end, since + MAX_US);
    const stored = await ask("/series", {
      tenant: incident.tenant,
      application,
      model,
      metric,
      since,
      until,
    });
    const marks = (own.get(name) ?? []).map((one) => ({
      from: one.window_start,
      to: one.window_end,
      severity: one.severity,
    }));
    await this.figure.show(
      `${application}/${model}`,
      metric,
      stored.items,
      marks,
      [since, until],
      this.page.truth,
    );
  }

  close() {
    this.figure.close();
  }
}

/** Whether it is about a series that is stored: of a model, and of no single user. */
const hasSeries = (one) => one.model !== null && one.user === null && METRICS.includes(one.metric);
const seriesOf = (one) => JSON.stringify([one.application, one.model, one.metric]);
const rank = (anomalies) => Math.min(...anomalies.map((one) => SEVERITIES.indexOf(one.severity)));

function headOf(one, owner, page) {
  const over = !isOpen(one);
  const lasted = (one.resolved_at ?? one.updated_at) - one.opened_at;
  return h(
    "div",
    { class: `head edge-${one.severity}` },
    h("p", { class: "crumbs" }, link("/", "Now"), " › incident"),
    h("h1", {}, cut(one.title, 240)),
    h(
      "p",
      { class: "marks" },
      severity(one.severity),
      over ? stateBadge(one) : badge("open", "bad"),
      over ? null : stateBadge(one),
      owner && !over ? h("span", {}, ownerOf(owner)) : null,
    ),
    facts([
      ["Tenant", cut(one.tenant, 80)],
      ["Application", cut(one.application, 80)],
      ["Models", names(one.models)],
      ["Metrics", names(one.metrics.map(metricName))],
      ["Users", one.users.length ? names(one.users) : null],
      ["Opened", [time(one.opened_at), " (", time(one.opened_at, true), ")"]],
      ["Ended", one.resolved_at === null ? null : time(one.resolved_at)],
      ["New level since", one.new_level_since ? time(one.new_level_since) : null],
      ["Note", one.note ? cut(one.note, 200) : null],
      ["No data since", one.no_data_since ? time(one.no_data_since) : null],
      over ? ["Lasted", duration(lasted)] : ["So far", sinceThen(one.opened_at)],
      ["Anomalies", one.anomaly_count.toLocaleString("en")],
      ["Revision", `${one.revision}, ${one.change.replaceAll("_", " ")}`],
    ]),
    over
      ? null
      : h(
          "p",
          { class: "actions" },
          h(
            "button",
            {
              type: "button",
              class: "primary",
              "data-key": "acknowledge",
              click: () => acknowledge(page, one),
            },
            "Acknowledge…",
          ),
          h(
            "button",
            { type: "button", "data-key": "silence", click: () => silence(page, one) },
            "Silence…",
          ),
          h(
            "button",
            { type: "button", "data-key": "close", click: () => closeIncident(page, one) },
            "Close incident…",
          ),
        ),
  );
}

const cap = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

function anomalyList(count, items) {
  if (!items.length)
    return empty(
      "None of its anomalies is in the store.",
      "Retention may have removed them before the incident.",
    );
  const shown = items.slice(0, 50);
  const more = count - shown.length;
  return [
    h("ul", { class: "lines" }, shown.map(anomalyLine)),
    more > 0 ? h("p", { class: "hint" }, `and ${more.toLocaleString("en")} more`) : null,
  ];
}

function messageTable(items, isCut) {
  if (!items.length)
    return empty(
      "Nobody was notified.",
      "No receiver is configured, or nothing has been decided yet.",
    );
  const rows = messagesOf(items).map((one) =>
    h(
      "li",
      { class: "line" },
      h(
        "div",
        { class: "line-head" },
        outcome(one.outcome),
        h("b", {}, cut(one.receiver, 40)),
        h("span", {}, cut(one.reason, 120)),
      ),
      h(
        "div",
        { class: "line-foot" },
        time(one.at),
        ` · revision ${one.incident_revision}`,
        one.tries > 1 ? ` · ${one.tries} attempts` : null,
        detailOf(one),
      ),
      one.records.length > 1
        ? h(
            "details",
            { "data-key": `attempts ${one.id}` },
            h("summary", {}, "How it was delivered"),
            h("ul", {}, one.records.toReversed().map(recordLine)),
          )
        : null,
      one.body
        ? h(
            "details",
            { "data-key": `body ${one.id}` },
            h("summary", {}, "The message"),
            h("pre", { tabindex: "0" }, cut(one.body, 2000)),
          )
        : null,
    ),
  );
  return [
    h("ul", { class: "lines" }, rows),
    isCut ? h("p", { class: "hint" }, `The newest ${MESSAGES}.`) : null,
  ];
}

function detailOf(one) {
  const status =
    one.status_code === null || one.detail.includes(String(one.status_code))
      ? null
      : ` · HTTP ${one.status_code}`;
  return [status, one.detail ? [" · ", cut(one.detail, 160)] : null];
}

/** One decision or attempt. */
function recordLine(one) {
  return h(
    "li",
    { class: "line-foot" },
    time(one.at),
    " · ",
    one.outcome,
    one.attempt ? `, attempt ${one.attempt}` : null,
    ": ",
    cut(one.reason, 80),
    detailOf(one),
  );
}

/** What happened in order: anomalies in event time, messages by the wall clock. */
function timeLine(incident, anomalies, messages) {
  const happened = [
    { at: incident.opened_at, kind: "opened", what: ["Opened"] },
    ...runs(anomalies),
    ...messagesOf(messages).map((one) => ({
      at: one.at,
      kind: one.outcome === "failed" ? "failed" : "sent",
      what: [
        h("b", {}, cut(one.receiver, 30)),
        " ",
        outcome(one.outcome),
        " ",
        cut(one.reason, 80),
      ],
    })),
  ];
  if (incident.resolved_at !== null)
    happened.push({
      at: incident.resolved_at,
      kind: "resolved",
      what: [incident.state === "resolved" ? "Resolved" : cap(incident.state.replaceAll("_", " "))],
    });
  happened.sort((a, b) => a.at - b.at);
  // The newest, which is how it stands.
  const shown = happened.slice(-80);
  return [
    h(
      "ol",
      { class: "timeline" },
      shown.map((one) =>
        h(
          "li",
          { class: `on-${one.kind}` },
          h("span", { class: "at" }, time(one.at)),
          h("div", {}, one.what),
        ),
      ),
    ),
    happened.length > shown.length
      ? h("p", { class: "hint" }, `and ${happened.length - shown.length} earlier`)
      : null,
    h("p", { class: "hint" }, "Anomalies are placed by event time, messages by wall-clock time."),
  ];
}

/** Anomalies of one metric and model that follow each other, as one entry. */
function runs(anomalies) {
  const made = [];
  for (const one of anomalies.toSorted((a, b) => a.event_time - b.event_time)) {
    const last = made.at(-1);
    const subject = JSON.stringify([one.model, one.user, one.metric]);
    if (last?.subject === subject) last.more += 1;
    else
      made.push({
        at: one.event_time,
        kind: `anomaly edge-${one.severity}`,
        subject,
        more: 0,
        one,
      });
  }
  for (const run of made) {
    const subject = cut([run.one.model, run.one.user].filter(Boolean).join(", "), 50);
    run.what = [
      link(anomalyHref(run.one.tenant, run.one.id), metricName(run.one.metric)),
      subject ? [" of ", subject] : null,
      run.more ? ` and ${run.more} more like it` : null,
    ];
    run.one = null;
  }
  return made;
}
