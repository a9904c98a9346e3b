// How far what is shown can be believed: the state in the bar, made of the overview, its age, and
// the connection.

import { h } from "./dom.js";
import { ago, clock, lasting, time } from "./units.js";

/**
 * Without a good answer for so long, nothing is called live: three slow rounds. A machine that
 * slept finds it so when it wakes.
 */
const OLD_MS = 45_000;
const LOOK_MS = 1000;

const WORDS = {
  live: () => "live",
  quiet: (overview) => `no new data for ${lasting(overview.age_s)}`,
  behind: (overview) => `${lasting(overview.age_s)} behind`,
  stalled: () => "not watching",
  unknown: () => "not known to watch",
  empty: () => "no data yet",
};

export class Truth {
  /** `changed(truth)` is called whenever what can be believed becomes another. */
  constructor(dot, changed) {
    this.dot = dot;
    this.changed = changed;
    this.overview = null;
    this.at = 0;
    this.link = "connecting";
    this.paused = false;
    this.problem = null;
    this.state = "connecting";
    this.before = "";
    setInterval(() => this.judge(), LOOK_MS);
  }

  /** Forgets what was of another tenant. */
  forget() {
    this.overview = null;
    this.at = 0;
    this.judge();
  }

  answered(overview) {
    this.overview = overview;
    this.at = Date.now();
    this.problem = null;
    this.judge();
  }

  failed(problem) {
    this.problem = problem;
    this.judge();
  }

  /** Whether the answer is young enough to be believed. */
  get isFresh() {
    return this.overview !== null && !this.problem && Date.now() - this.at <= OLD_MS;
  }

  /** Whether nothing is wrong, as far as anybody can know it. */
  get allClear() {
    return this.isFresh && this.link === "live" && this.overview.all_clear;
  }

  /** Why it cannot be said that nothing is wrong, in words. */
  get why() {
    if (this.problem) return `Sentinel's API did not answer: ${this.problem.detail}`;
    if (!this.overview) return "Sentinel has not answered yet.";
    if (!this.isFresh) return `The last answer is of ${clock(this.at * 1000)}.`;
    if (this.overview.why) return sentence(this.overview.why);
    return this.link === "live" ? "" : "The connection for live changes is lost.";
  }

  judge() {
    this.state = this.#state();
    const text = this.#text();
    this.dot.dataset.state = this.state;
    this.dot.dataset.link = this.link;
    const title =
      this.why ||
      (this.overview?.newest ? `The newest data are of ${clock(this.overview.newest)}.` : "");
    if (this.dot.textContent !== text) this.dot.textContent = text;
    if (this.dot.title !== title) this.dot.title = title;
    const now = JSON.stringify([
      this.state,
      this.allClear,
      this.why,
      this.overview?.stages,
      this.overview?.applications.map((one) => one.last_event),
    ]);
    if (now === this.before) return;
    this.before = now;
    this.changed(this);
  }

  #state() {
    if (this.paused) return "paused";
    if (this.link === "reconnecting") return this.link;
    if (this.link === "connecting" && (!this.isFresh || this.overview.state === "live"))
      return this.link;
    if (!this.overview) return this.problem ? "stale" : "connecting";
    return this.isFresh ? this.overview.state : "stale";
  }

  #text() {
    const asOf = this.at ? `, as of ${clock(this.at * 1000)}` : "";
    if (this.state in WORDS) return WORDS[this.state](this.overview);
    return (
      { stale: `no answer${asOf}`, reconnecting: `reconnecting${asOf}` }[this.state] ?? this.state
    );
  }
}

const sentence = (text) => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;

/** Until when each application sent something, the longest silent first. */
export function lastEvents(overview, isAll) {
  const limit = 8;
  const shown = overview.applications
    .toSorted((a, b) => a.last_event - b.last_event)
    .slice(0, limit);
  return [
    h(
      "ul",
      { class: "last-events" },
      shown.map((one) =>
        h(
          "li",
          {},
          h("span", {}, isAll ? `${one.application} (${one.tenant})` : one.application),
          h("span", { class: "hint" }, "last event ", time(one.last_event, true)),
        ),
      ),
    ),
    overview.applications.length > limit
      ? h(
          "p",
          { class: "hint" },
          `and ${overview.applications.length - limit} more applications, all with later events`,
        )
      : null,
  ];
}

/** What is said where no incident is open. */
export function goodNews(truth) {
  if (!truth.allClear)
    return [
      "No incident is open, as far as is known.",
      truth.why || "Whether everything works is not known.",
    ];
  return [
    "No incident is open.",
    `That is good news: every stage works, and the newest data came ${ago(truth.overview.newest)}.`,
  ];
}
