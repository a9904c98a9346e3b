// *Now*: open incidents, what burns, how the stages are, what was told last.

import { address, Problem } from "./api.js";
import { endSilence } from "./acting.js";
import { burning, burningList, gravest, LOOKED_AT } from "./burning.js";
import { cut, h, Region } from "./dom.js";
import { messagesOf, outcome } from "./messages.js";
import { badge, empty, incidentHref, link, loading, names, pager, section, severity } from "./parts.js";
import { stagesInShort } from "./pipeline.js";
import { pulse, pulseCard } from "./pulse.js";
import { SeriesFigure } from "./series.js";
import { SEVERITIES, time } from "./units.js";

const PAGE = 25;
const MESSAGES = 8;
const BURNING_EVERY_MS = 5000;

export class NowView {
  title = "Now";

  constructor(page) {
    this.page = page;
    this.burningAt = 0;
    this.count = h("span", { class: "hint", role: "status" });
    this.filters = filters((query) => page.go(address("/", { tenant: page.place?.tenant, ...query })));
    const list = h("div", {}, loading("incidents"));
    const side = ["what burns", "stages", "messages"].map((what) => h("div", {}, loading(what)));
    const silences = h("div");
    this.figure = new SeriesFigure();
    this.around = h("span");
    this.gravest = section("The gravest of the hour", this.figure.element, this.around);
    this.gravest.hidden = true;
    const beat = h("div", { class: "across" });
    this.pulse = new Region(beat, pulseCard);
    this.incidents = new Region(list, (place, told) => incidentList(place, told));
    this.burning = new Region(side[0], burningList);
    this.stages = new Region(side[1], orWhyNot(stagesInShort));
    this.messages = new Region(side[2], messageList);
    this.silences = new Region(silences, orWhyNot((items) => silenceList(items, page)));
    this.root = h(
      "div",
      { class: "now" },
      h("h1", {}, "Now"),
      beat,
      h("div", { class: "wide" }, section("Incidents", [this.filters.element, list], this.count, "incidents"), this.gravest),
      h("div", { class: "side" }, section("What burns", side[0]), section("Stages", side[1], link("/pipeline", "Pipeline")), section("Last messages", side[2]), silences),
    );
  }

  focusFilter() {
    this.filters.application.focus();
  }

  /** `kinds`: what may have changed; null for everything. */
  async show(place, ask, kinds) {
    const { tenant, query } = place;
    const changed = (...names) => kinds === null || names.some((name) => kinds.has(name));
    if (kinds === null) this.filters.set(query);
    const parts = [];
    if (changed("incident", "slow")) parts.push(this.#showIncidents(place, ask));
    if (kinds === null || (changed("anomaly", "slow") && performance.now() - this.burningAt > BURNING_EVERY_MS)) {
      this.burningAt = performance.now();
      parts.push(ask("/anomalies", { tenant, limit: LOOKED_AT }).then((told) => this.#showAnomalies(tenant, told.items, ask)));
    }
    if (changed("notification", "slow")) {
      parts.push(ask("/notifications", { tenant, limit: 3 * MESSAGES }).then((told) => this.messages.show(tenant, told.items)));
    }
    if (changed("slow")) {
      // A tenant's own token cannot see what all tenants share.
      if (this.page.me?.tenant) this.stages.show({ why: "Only operators see this; give their token." });
      else parts.push(aside(this.stages, ask("/pipeline", {}).then((told) => told.workers)));
      parts.push(aside(this.silences, ask("/silences", { tenant }).then((told) => told.items.filter((one) => isInForce(one)))));
    }
    if (kinds === null) parts.push(this.page.subjects(tenant).then((subjects) => this.filters.offer(subjects)));
    // What does come is shown, whatever else fails.
    const failed = (await Promise.allSettled(parts)).find((part) => part.status === "rejected");
    if (failed) throw failed.reason;
  }

  async #showAnomalies(tenant, items, ask) {
    this.pulse.show(pulse(items, LOOKED_AT));
    this.burning.show(tenant, burning(items));
    const worst = gravest(items);
    this.gravest.hidden = !worst;
    if (!worst) return;
    const { subject, since, until, marks } = worst;
    const told = await ask("/series", { tenant, ...subject, since, until });
    this.around.replaceChildren(link(address("/explore", { tenant, ...subject }), "Explore"));
    await this.figure.show(`${subject.application}/${subject.model}`, subject.metric, told.items, marks, [since, until]);
  }

  async #showIncidents(place, ask) {
    const { tenant, query } = place;
    const state = query.get("state") ?? "open";
    const told = await ask("/incidents", {
      tenant,
      state: state === "all" ? null : state,
      severity: query.getAll("severity"),
      application: query.get("application"),
      limit: PAGE,
      cursor: query.get("cursor"),
    });
    const what = state === "all" ? "" : ` ${state}`;
    const count = told.next || query.get("cursor") ? `${told.items.length} of more` : `${told.items.length}${what}`;
    if (this.count.textContent !== count) this.count.textContent = count;
    const shown = { path: "/", query: [...query], tenant, filtered: query.has("severity") || query.has("application") || query.has("cursor"), state };
    this.incidents.show(shown, told);
  }

  close() {
    this.figure.close();
  }
}

/** Shows what comes, or why it does not: what stands aside hides nothing else. */
async function aside(region, coming) {
  try {
    region.show({ told: await coming });
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status === 401) throw problem;
    region.show({ why: problem.detail });
  }
}

const orWhyNot = (render) => (shown) => ("why" in shown ? h("p", { class: "hint" }, cut(shown.why, 200)) : render(shown.told));

const isInForce = (silence) => !silence.expired_by && silence.ends_at > Date.now() * 1000;

function filters(changed) {
  const application = h("input", { type: "search", list: "applications", placeholder: "all applications", "aria-label": "Application", autocomplete: "off", spellcheck: "false" });
  const known = h("datalist", { id: "applications" });
  const state = h("select", { "aria-label": "State" }, ["open", "resolved", "all"].map((one) => h("option", { value: one }, one === "all" ? "open and resolved" : one)));
  const grades = SEVERITIES.map((one) => h("button", { type: "button", class: "chip", "aria-pressed": "false", "data-severity": one, click: (event) => toggle(event.currentTarget) }, one));
  const tell = () => {
    changed({
      application: application.value.trim(),
      state: state.value === "open" ? null : state.value,
      severity: grades.filter(isPressed).map((one) => one.dataset.severity),
    });
  };
  const toggle = (button) => {
    button.setAttribute("aria-pressed", String(!isPressed(button)));
    tell();
  };
  application.addEventListener("change", tell);
  state.addEventListener("change", tell);
  return {
    element: h("div", { class: "filters", role: "group", "aria-label": "Filter" }, application, known, state, h("span", { class: "chips", role: "group", "aria-label": "Severities" }, grades)),
    application,
    set(query) {
      if (document.activeElement !== application) application.value = query.get("application") ?? "";
      state.value = query.get("state") ?? "open";
      for (const one of grades) one.setAttribute("aria-pressed", String(query.getAll("severity").includes(one.dataset.severity)));
    },
    offer(subjects) {
      const all = [...new Set(subjects.map((one) => one.application))].sort().slice(0, 200);
      if (known.childElementCount === all.length && all.every((one, index) => known.children[index].value === one)) return;
      known.replaceChildren(...all.map((one) => h("option", { value: one })));
    },
  };
}

const isPressed = (button) => button.getAttribute("aria-pressed") === "true";

function incidentList(shown, told) {
  const place = { path: shown.path, query: new URLSearchParams(shown.query) };
  if (!told.items.length) {
    if (shown.filtered) return [empty("No incident fits the filter."), pager(place, null, "incidents")];
    return shown.state === "open" ? empty("No incident is open.", "That is good news. Sentinel goes on watching.") : empty("There is no such incident.");
  }
  return [h("ul", { class: "lines" }, told.items.map(incidentLine)), pager(place, told.next, "incidents")];
}

function incidentLine(one) {
  const over = one.state === "resolved";
  return h(
    "li",
    { class: `line edge-${one.severity} ${over ? "over" : ""}` },
    h("div", { class: "line-head" }, severity(one.severity), link(incidentHref(one.tenant, one.id), cut(one.title, 140)), over ? badge("resolved", "good") : null),
    h(
      "div",
      { class: "line-foot" },
      h("b", {}, cut(one.application, 40)),
      ...(one.models.length ? [" · ", names(one.models)] : []),
      " · ",
      one.anomaly_count === 1 ? "1 anomaly" : `${one.anomaly_count.toLocaleString("en")} anomalies`,
      " · ",
      over ? ["over ", time(one.resolved_at ?? one.updated_at, true)] : ["since ", time(one.opened_at), " (", time(one.opened_at, true), ")"],
    ),
  );
}

function messageList(tenant, items) {
  if (!items.length) return empty("Nothing was told yet.");
  return h(
    "ul",
    { class: "messages" },
    messagesOf(items).slice(0, MESSAGES).map((one) => {
      const text = cut(one.title ?? (one.incident_id ? "an incident" : one.reason), 70);
      return h(
        "li",
        {},
        h("div", {}, outcome(one.outcome), " ", one.incident_id ? link(incidentHref(tenant, one.incident_id), text) : text),
        h("div", { class: "line-foot" }, cut(one.receiver, 30), " · ", cut(one.reason, 60), " · ", time(one.at, true)),
      );
    }),
  );
}

function silenceList(items, page) {
  if (!items.length) return null;
  const body = h(
    "ul",
    { class: "messages" },
    items.slice(0, 20).map((one) =>
      h(
        "li",
        {},
        h("div", {}, one.matchers.length ? one.matchers.map((matcher) => [h("code", {}, cut(matcher, 60)), " "]) : "everything"),
        h("div", { class: "line-foot" }, cut(one.author, 30), one.comment ? [": ", cut(one.comment, 60)] : null, " · ends ", time(one.ends_at, true)),
        h("button", { type: "button", class: "small", "data-key": `end ${one.id}`, click: () => endSilence(page, one) }, "End…"),
      ),
    ),
  );
  return section("Silences in force", body);
}
