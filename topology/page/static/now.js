// *Now*: open incidents, affected applications, the stages, the last messages.

import { address, Problem } from "./api.js";
import { endSilence } from "./acting.js";
import { burning, burningList, mostSevere, LOOKED_AT } from "./burning.js";
import { cut, h, Region } from "./dom.js";
import { askIncidents, byIncident, incidentList, LISTED, newsOf, STATES } from "./incidents.js";
import { messagesOf, outcome } from "./messages.js";
import { badge, empty, incidentHref, link, loading, section } from "./parts.js";
import { stagesInShort, stagesJudged } from "./pipeline.js";
import { pulse, pulseCard } from "./pulse.js";
import { SeriesFigure } from "./series.js";
import { lastEvents } from "./truth.js";
import { SEVERITIES, time } from "./units.js";

const MESSAGES = 8;
const BURNING_EVERY_MS = 5000;

export class NowView {
  title = "Now";

  constructor(page) {
    this.page = page;
    this.burningAt = 0;
    this.count = h("span", { class: "hint", role: "status" });
    this.filters = filters((query) =>
      page.go(address("/", { tenant: page.place?.tenant, ...query })),
    );
    const list = h("div", {}, loading("incidents"));
    const side = ["affected applications", "stages", "messages", "applications"].map((what) =>
      h("div", {}, loading(what)),
    );
    const silences = h("div");
    this.figure = new SeriesFigure();
    this.around = h("span");
    this.severest = section("Most severe of the hour", this.figure.element, this.around);
    this.severest.hidden = true;
    const beat = h("div", { class: "across" });
    this.pulse = new Region(beat, pulseCard);
    this.data = null;
    this.acknowledged = {};
    this.anomalies = null;
    this.open = null;
    this.incidents = new Region(list, incidentList);
    this.lastEvents = new Region(side[3], lastEvents);
    this.burning = new Region(side[0], burningList);
    this.stages = new Region(
      side[1],
      orWhyNot((data) =>
        data.workers ? stagesInShort(data.workers, data.stages) : stagesJudged(data.stages),
      ),
    );
    this.messages = new Region(side[2], messageList);
    this.silences = new Region(
      silences,
      orWhyNot((items) => silenceList(items, page)),
    );
    this.root = h(
      "div",
      { class: "now" },
      h("h1", {}, "Now"),
      beat,
      h(
        "div",
        { class: "wide" },
        section("Incidents", [this.filters.element, list], this.count, "incidents"),
        this.severest,
      ),
      h(
        "div",
        { class: "side" },
        section("Affected applications", side[0]),
        section("Stages", side[1], link("/pipeline", "Pipeline")),
        section("Last events", side[3]),
        section("Last messages", side[2]),
        silences,
      ),
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
    if (
      kinds === null ||
      (changed("anomaly", "slow") && performance.now() - this.burningAt > BURNING_EVERY_MS)
    ) {
      this.burningAt = performance.now();
      parts.push(
        ask("/anomalies", { tenant, limit: LOOKED_AT }).then((data) =>
          this.#showAnomalies(data.items, ask),
        ),
      );
    }
    if (changed("notification", "slow")) {
      parts.push(
        ask("/notifications", { tenant, limit: 3 * MESSAGES }).then((data) =>
          this.messages.show(data.items),
        ),
      );
    }
    if (changed("slow")) {
      // A tenant's own token cannot see what all tenants share.
      if (!this.page.me?.tenant)
        parts.push(
          aside(
            this.stages,
            ask("/pipeline", {}).then(({ workers, stages }) => ({ workers, stages })),
          ),
        );
      parts.push(this.#askOwners(place, ask));
      parts.push(
        aside(
          this.silences,
          ask("/silences", { tenant }).then((data) => data.items.filter((one) => isShown(one))),
        ),
      );
    }
    if (kinds === null && tenant)
      parts.push(this.page.subjects(tenant).then((subjects) => this.filters.offer(subjects)));
    // Each part is shown as it comes, even if others fail.
    const failed = (await Promise.allSettled(parts)).find((part) => part.status === "rejected");
    if (failed) throw failed.reason;
  }

  /** What can be believed has changed. */
  judged(truth) {
    this.#list();
    if (!truth.overview) return;
    this.lastEvents.show({ applications: truth.overview.applications }, !this.page.place?.tenant);
    if (this.page.me?.tenant) this.stages.show({ data: { stages: truth.overview.stages } });
    if (!this.page.place?.tenant) this.filters.offer(truth.overview.applications);
  }

  async #showAnomalies(items, ask) {
    this.anomalies = items;
    this.pulse.show(pulse(items, LOOKED_AT));
    this.#burn();
    const worst = mostSevere(items);
    this.severest.hidden = !worst;
    if (!worst) return;
    const { subject, since, until, marks } = worst;
    const data = await ask("/series", { ...subject, since, until });
    this.around.replaceChildren(link(address("/explore", subject), "Explore"));
    await this.figure.show(
      `${subject.application}/${subject.model}`,
      subject.metric,
      data.items,
      marks,
      [since, until],
      this.page.truth,
    );
  }

  async #showIncidents({ tenant, query }, ask) {
    this.data = await askIncidents(ask, tenant, query);
    const { items, next, state } = this.data;
    const what = state === "all" ? "" : ` ${state}`;
    const count =
      next || query.get("cursor") ? `${items.length} of more` : `${items.length}${what}`;
    if (this.count.textContent !== count) this.count.textContent = count;
    this.#list();
    // Affected applications have open incidents, whatever the filter shows.
    this.open =
      state === "open" && !this.data.filtered
        ? items
        : (await ask("/incidents", { tenant, state: "open", limit: LISTED })).items;
    this.#burn();
  }

  /** Acknowledgements; while Kafka does not answer, the last known ones stay. */
  async #askOwners({ tenant }, ask) {
    try {
      this.acknowledged = byIncident((await ask("/acknowledgements", { tenant })).items);
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status === 401) throw problem;
    }
    this.#list();
  }

  #list() {
    if (this.data) this.incidents.show(this.data, this.acknowledged, newsOf(this.page.truth));
  }

  #burn() {
    if (this.open && this.anomalies)
      this.burning.show(burning(this.open, this.anomalies), !this.page.place?.tenant);
  }

  close() {
    this.figure.close();
  }
}

/** Shows the data of a side region, or why there are none: its failure hides nothing else. */
async function aside(region, coming) {
  try {
    region.show({ data: await coming });
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status === 401) throw problem;
    region.show({ why: problem.detail });
  }
}

const orWhyNot = (render) => (shown) =>
  "why" in shown ? h("p", { class: "hint" }, cut(shown.why, 200)) : render(shown.data);

/** Refused silences are shown too: their authors must not believe that they are in effect. */
const isShown = (silence) => !silence.expired_by && silence.ends_at > Date.now() * 1000;

function filters(changed) {
  const application = h("input", {
    type: "search",
    list: "applications",
    placeholder: "all applications",
    "aria-label": "Application",
    autocomplete: "off",
    spellcheck: "false",
  });
  const known = h("datalist", { id: "applications" });
  const state = h(
    "select",
    { "aria-label": "State" },
    STATES.map((one) =>
      h("option", { value: one }, one === "all" ? "open and over" : one.replaceAll("_", " ")),
    ),
  );
  const grades = SEVERITIES.map((one) =>
    h(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-pressed": "false",
        "data-severity": one,
        click: (event) => toggle(event.currentTarget),
      },
      one,
    ),
  );
  const notify = () => {
    changed({
      application: application.value.trim(),
      state: state.value === "open" ? null : state.value,
      severity: grades.filter(isPressed).map((one) => one.dataset.severity),
    });
  };
  const toggle = (button) => {
    button.setAttribute("aria-pressed", String(!isPressed(button)));
    notify();
  };
  application.addEventListener("change", notify);
  state.addEventListener("change", notify);
  return {
    element: h(
      "div",
      { class: "filters", role: "group", "aria-label": "Filter" },
      application,
      known,
      state,
      h("span", { class: "chips", role: "group", "aria-label": "Severities" }, grades),
    ),
    application,
    set(query) {
      if (document.activeElement !== application)
        application.value = query.get("application") ?? "";
      state.value = query.get("state") ?? "open";
      for (const one of grades)
        one.setAttribute(
          "aria-pressed",
          String(query.getAll("severity").includes(one.dataset.severity)),
        );
    },
    offer(subjects) {
      const all = [...new Set(subjects.map((one) => one.application))].sort().slice(0, 200);
      if (
        known.childElementCount === all.length &&
        all.every((one, index) => known.children[index].value === one)
      )
        return;
      known.replaceChildren(...all.map((one) => h("option", { value: one })));
    },
  };
}

const isPressed = (button) => button.getAttribute("aria-pressed") === "true";

function messageList(items) {
  if (!items.length) return empty("No messages yet.");
  return h(
    "ul",
    { class: "messages" },
    messagesOf(items)
      .slice(0, MESSAGES)
      .map((one) => {
        const text = cut(one.title ?? (one.incident_id ? "an incident" : one.reason), 70);
        return h(
          "li",
          {},
          h(
            "div",
            {},
            outcome(one.outcome),
            " ",
            one.incident_id ? link(incidentHref(one.tenant, one.incident_id), text) : text,
          ),
          h(
            "div",
            { class: "line-foot" },
            cut(one.receiver, 30),
            " · ",
            cut(one.reason, 60),
            one.tries > 1 ? ` · ${one.tries} attempts` : null,
            " · ",
            time(one.at, true),
          ),
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
        h(
          "div",
          {},
          one.state === "applied"
            ? null
            : [badge(one.state, one.state === "refused" ? "bad" : "warn"), " "],
          one.matchers.length
            ? one.matchers.map((matcher) => [h("code", {}, cut(matcher, 60)), " "])
            : "everything",
        ),
        h(
          "div",
          { class: "line-foot" },
          cut(one.author, 30),
          one.comment ? [": ", cut(one.comment, 60)] : null,
          " · ends ",
          time(one.ends_at, true),
        ),
        one.state === "refused"
          ? h("div", { class: "line-foot wrong" }, "It holds nothing back: ", cut(one.detail, 160))
          : h(
              "button",
              {
                type: "button",
                class: "small",
                "data-key": `end ${one.id}`,
                click: () => endSilence(page, one),
              },
              "End…",
            ),
      ),
    ),
  );
  return section("Silences", body);
}
