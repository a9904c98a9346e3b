// One *incident*: what is wrong, how it went, its anomalies, who was told and who was not, and why.

import { acknowledge, silence } from "./acting.js";
import { cut, h, Region } from "./dom.js";
import { messagesOf, outcome } from "./messages.js";
import { anomalyHref, anomalyLine, badge, empty, facts, link, loading, names, section, severity } from "./parts.js";
import { SeriesFigure } from "./series.js";
import { duration, metricName, METRICS, SEVERITIES, time } from "./units.js";

const MESSAGES = 100;
const BEFORE_US = 600e6;
const AFTER_US = 300e6;
const MOST_US = 24 * 3600e6;

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
    this.head = new Region(head, (incident) => headOf(incident, page));
    this.line = new Region(line, timeLine);
    this.anomalies = new Region(anomalies, anomalyList);
    this.messages = new Region(messages, messageTable);
    this.root = h(
      "div",
      { class: "incident" },
      head,
      h("div", { class: "wide" }, this.picture, section("Anomalies", anomalies), section("Messages", messages)),
      h("div", { class: "side" }, section("Time line", line)),
    );
  }

  async show(place, ask) {
    const { tenant, id } = place;
    const path = `/incidents/${encodeURIComponent(id)}`;
    const [incident, anomalies, messages] = await Promise.all([
      ask(path, { tenant }),
      ask(`${path}/anomalies`, { tenant }),
      ask("/notifications", { tenant, incident_id: id, limit: MESSAGES }),
    ]);
    this.title = incident.title;
    this.head.show(incident);
    this.anomalies.show(incident.anomaly_count, anomalies.items);
    this.messages.show(messages.items, messages.next !== null);
    this.line.show(incident, anomalies.items, messages.items);
    await this.#showSeries(incident, anomalies.items, ask);
  }

  /** The series that its gravest anomaly is about; of several the one with the most anomalies. */
  async #showSeries(incident, anomalies, ask) {
    const counts = new Map();
    for (const one of anomalies) {
      if (one.model === null || one.user !== null || !METRICS.includes(one.metric)) continue;
      const name = JSON.stringify([one.application, one.model, one.metric]);
      counts.set(name, [...(counts.get(name) ?? []), one]);
    }
    const [name, own] = [...counts].sort((a, b) => rank(a[1]) - rank(b[1]) || b[1].length - a[1].length)[0] ?? [];
    this.picture.hidden = !name;
    if (!name) return;
    const [application, model, metric] = JSON.parse(name);
    const since = incident.opened_at - BEFORE_US;
    const until = Math.min((incident.resolved_at ?? incident.updated_at) + AFTER_US, since + MOST_US);
    const told = await ask("/series", { tenant: incident.tenant, application, model, metric, since, until });
    const marks = own.map((one) => ({ from: one.window_start, to: one.window_end, severity: one.severity }));
    await this.figure.show(`${application}/${model}`, metric, told.items, marks);
  }

  close() {
    this.figure.close();
  }
}

const rank = (anomalies) => Math.min(...anomalies.map((one) => SEVERITIES.indexOf(one.severity)));

function headOf(one, page) {
  const over = one.state === "resolved";
  const lasted = (one.resolved_at ?? one.updated_at) - one.opened_at;
  return h(
    "div",
    { class: `head edge-${one.severity}` },
    h("p", { class: "crumbs" }, link("/", "Now"), " › incident"),
    h("h1", {}, cut(one.title, 240)),
    h("p", { class: "marks" }, severity(one.severity), badge(one.state, over ? "good" : "bad"), badge(`revision ${one.revision}, ${one.change}`)),
    facts([
      ["Application", cut(one.application, 80)],
      ["Models", names(one.models)],
      ["Metrics", names(one.metrics.map(metricName))],
      ["Users", one.users.length ? names(one.users) : null],
      ["Opened", [time(one.opened_at), " (", time(one.opened_at, true), ")"]],
      ["Over", one.resolved_at === null ? null : time(one.resolved_at)],
      [over ? "Lasted" : "So far", duration(lasted)],
      ["Anomalies", one.anomaly_count.toLocaleString("en")],
    ]),
    over
      ? null
      : h(
          "p",
          { class: "actions" },
          h("button", { type: "button", class: "primary", "data-key": "acknowledge", click: () => acknowledge(page, one) }, "Acknowledge…"),
          h("button", { type: "button", "data-key": "silence", click: () => silence(page, one) }, "Silence…"),
        ),
  );
}

function anomalyList(count, items) {
  if (!items.length) return empty("None of its anomalies is in the store.", "They may have been forgotten before the incident was.");
  const shown = items.slice(0, 50);
  const more = count - shown.length;
  return [h("ul", { class: "lines" }, shown.map(anomalyLine)), more > 0 ? h("p", { class: "hint" }, `and ${more.toLocaleString("en")} more`) : null];
}

function messageTable(items, isCut) {
  if (!items.length) return empty("Nobody was told of it.", "No receiver is configured, or nothing was decided yet.");
  const rows = items.map((one) =>
    h(
      "li",
      { class: "line" },
      h("div", { class: "line-head" }, outcome(one.outcome), h("b", {}, cut(one.receiver, 40)), h("span", {}, cut(one.reason, 120))),
      h(
        "div",
        { class: "line-foot" },
        time(one.at),
        ` · revision ${one.incident_revision}`,
        one.attempt ? ` · try ${one.attempt}` : null,
        one.status_code === null || one.detail.includes(String(one.status_code)) ? null : ` · HTTP ${one.status_code}`,
        one.detail ? [" · ", cut(one.detail, 160)] : null,
      ),
      one.body ? h("details", { "data-key": `${one.id} ${one.outcome} ${one.attempt}` }, h("summary", {}, "The message"), h("pre", { tabindex: "0" }, cut(one.body, 2000))) : null,
    ),
  );
  return [h("ul", { class: "lines" }, rows), isCut ? h("p", { class: "hint" }, `The newest ${MESSAGES}.`) : null];
}

/** What happened in order: anomalies in event time, messages by the wall clock. */
function timeLine(incident, anomalies, messages) {
  const happened = [
    { at: incident.opened_at, kind: "opened", what: ["Opened"] },
    ...runs(anomalies),
    ...messagesOf(messages).map((one) => ({ at: one.at, kind: one.outcome === "failed" ? "failed" : "told", what: [h("b", {}, cut(one.receiver, 30)), " ", outcome(one.outcome), " ", cut(one.reason, 80)] })),
  ];
  if (incident.resolved_at !== null) happened.push({ at: incident.resolved_at, kind: "resolved", what: ["Resolved"] });
  happened.sort((a, b) => a.at - b.at);
  // The newest, which is how it stands.
  const shown = happened.slice(-80);
  return [
    h("ol", { class: "timeline" }, shown.map((one) => h("li", { class: `on-${one.kind}` }, h("span", { class: "at" }, time(one.at)), h("div", {}, one.what)))),
    happened.length > shown.length ? h("p", { class: "hint" }, `and ${happened.length - shown.length} earlier`) : null,
    h("p", { class: "hint" }, "Anomalies stand at event time, messages at the wall clock's."),
  ];
}

/** Anomalies of one metric and model that follow each other, as one entry. */
function runs(anomalies) {
  const made = [];
  for (const one of anomalies.toSorted((a, b) => a.event_time - b.event_time)) {
    const last = made.at(-1);
    const subject = JSON.stringify([one.model, one.user, one.metric]);
    if (last?.subject === subject) last.more += 1;
    else made.push({ at: one.event_time, kind: `anomaly edge-${one.severity}`, subject, more: 0, one });
  }
  for (const run of made) {
    const subject = cut([run.one.model, run.one.user].filter(Boolean).join(", "), 50);
    run.what = [link(anomalyHref(run.one.tenant, run.one.id), metricName(run.one.metric)), subject ? [" of ", subject] : null, run.more ? ` and ${run.more} more like it` : null];
    run.one = null;
  }
  return made;
}
