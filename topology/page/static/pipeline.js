// *Pipeline*: stages, workers, lanes; late, bad and delivered records.

import { cut, h, Region } from "./dom.js";
import { badge, empty, loading, section } from "./parts.js";
import { plain, time } from "./units.js";

const ORDER = ["normalise", "detect", "correlate", "alert", "sink"];
const MAX_LANES = 64;
const COUNTED = [
  ["records", "Records processed"],
  ["events", "Events"],
  ["late", "Late, left out of windows"],
  ["bad", "Bad, in dead letters"],
  ["stored", "Documents stored"],
  ["delivered", "Messages delivered"],
  ["failed", "Failed attempts to deliver"],
];
/** Counts that are shown also when they are zero, by stage. */
const ALWAYS = {
  records: ["detect", "correlate", "alert"],
  bad: ["detect", "correlate", "alert"],
  delivered: ["alert"],
  failed: ["alert"],
};
const WORRYING = new Set(["bad", "failed"]);

export class PipelineView {
  title = "Pipeline";

  constructor() {
    const body = h("div", {}, loading("the workers"));
    this.workers = new Region(body, whole);
    this.at = h("p", { class: "hint" });
    this.root = h("div", { class: "pipeline" }, h("h1", {}, "Pipeline"), this.at, body);
  }

  async show(place, ask, kinds) {
    if (kinds !== null && !kinds.has("slow")) return;
    const data = await ask("/pipeline", {});
    this.workers.show(data.workers, data.stages, data.state, data.why);
    this.at.replaceChildren(
      "As reported by the workers at ",
      time(data.at),
      ". Counts start when a worker starts.",
    );
  }

  close() {}
}

/** Stages in the order in which data flows, each with its workers. */
function byStage(workers) {
  const found = new Map();
  for (const one of workers) {
    const stage = one.stage || "unknown stage";
    found.set(stage, [...(found.get(stage) ?? []), one]);
  }
  const rank = (stage) => (ORDER.indexOf(stage) + ORDER.length + 1) % (ORDER.length + 1);
  return [...found].sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

const lagOf = (worker) => worker.lanes.reduce((sum, lane) => sum + Math.max(0, lane.lag), 0);

const heldOf = (worker) => worker.lanes.filter((lane) => lane.held_since !== null);

function health(worker) {
  if (!worker.up) return badge("down", "bad");
  if (heldOf(worker).length) return badge("held", "bad");
  return worker.ready ? badge("ready", "good") : badge("not ready", "warn");
}

function heldText(lanes) {
  const first = lanes.reduce((least, lane) => (lane.held_since < least.held_since ? lane : least));
  return [
    lanes.length === 1 ? ["Lane ", cut(first.lane, 60), " is"] : `${lanes.length} lanes are`,
    " held by an open transaction since ",
    time(first.held_since, true),
    "; the worker's log names the producer.",
  ];
}

const STATES = {
  moving: ["moving", "good"],
  stalled: ["not working", "bad"],
  unknown: ["not known", "warn"],
};

function judged(one) {
  const [word, kind] = STATES[one.state] ?? [one.state, "warn"];
  return badge(word, kind);
}

/** A line for each stage, without its workers: what a tenant sees. */
export function stagesJudged(stages) {
  return h(
    "ul",
    { class: "stages" },
    stages.map((one) =>
      h(
        "li",
        {},
        h("b", {}, cut(one.stage, 30)),
        judged(one),
        one.why ? h("span", { class: "hint" }, cut(one.why, 80)) : null,
      ),
    ),
  );
}

/** A line for each stage. */
export function stagesInShort(workers, stages) {
  if (!workers.length)
    return empty(
      "No workers are configured.",
      "api.workers in the settings lists where workers serve their metrics.",
    );
  return h(
    "ul",
    { class: "stages" },
    stages.map((one) => {
      const own = workers.filter((worker) => worker.stage === one.stage);
      const lag = own.reduce((sum, worker) => sum + lagOf(worker), 0);
      const how =
        one.state === "moving"
          ? [own.length > 1 ? `${own.length} workers, ` : "", `${plain(lag)} waiting`]
          : cut(one.why, 120);
      return h(
        "li",
        {},
        h("b", {}, cut(one.stage, 30)),
        judged(one),
        h("span", { class: "hint" }, how),
      );
    }),
    workers
      .filter((one) => !one.up)
      .map((one) =>
        h(
          "li",
          {},
          h("b", {}, "worker"),
          badge("down", "bad"),
          h("span", { class: "hint" }, cut(one.address, 40)),
        ),
      ),
  );
}

function whole(workers, stages, state, why) {
  if (!workers.length)
    return empty(
      "No workers are configured.",
      "api.workers in the settings lists where workers serve their metrics, " +
        "such as http://detect:9100.",
    );
  const found = Object.fromEntries(stages.map((one) => [one.stage, one]));
  const count = (own) => (own.length === 1 ? "1 worker" : `${own.length} workers`);
  const about = (stage, own) =>
    h("span", { class: "hint" }, found[stage] ? [judged(found[stage]), " "] : null, count(own));
  return [
    state === "moving" ? null : h("p", { class: "wrong", role: "status" }, cut(why, 400)),
    byStage(workers).map(([stage, own]) => section(stage, own.map(workerOf), about(stage, own))),
  ];
}

function workerOf(one) {
  const counts = COUNTED.filter(
    ([name]) => one.totals[name] > 0 || (one.up && ALWAYS[name]?.includes(one.stage)),
  );
  const shown = one.lanes.slice(0, MAX_LANES);
  const rows = shown.map((lane) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, cut(lane.lane, 60)),
      h("td", { class: "number" }, plain(lane.lag)),
      h("td", {}, lane.moved_at === null ? "—" : time(lane.moved_at, true)),
      h(
        "td",
        {},
        lane.held_since === null
          ? ""
          : [
              `${plain(lane.held)} records held by an open transaction since `,
              time(lane.held_since, true),
            ],
      ),
    ),
  );
  const head = h(
    "tr",
    {},
    h("th", { scope: "col" }, "Lane"),
    h("th", { scope: "col", class: "number" }, "Lag, records"),
    h("th", { scope: "col" }, "Moved"),
    h("th", { scope: "col" }, "Held"),
  );
  return h(
    "article",
    { class: "worker" },
    h("h3", {}, cut(one.address, 80), " ", health(one)),
    heldOf(one).length ? h("p", { class: "wrong" }, heldText(heldOf(one))) : null,
    one.error ? h("p", { class: "wrong" }, cut(one.error, 200)) : null,
    counts.length
      ? h(
          "dl",
          { class: "counts" },
          counts.map(([name, what]) =>
            h(
              "div",
              { class: WORRYING.has(name) && one.totals[name] > 0 ? "worry" : null },
              h("dt", {}, what),
              h("dd", {}, plain(one.totals[name])),
            ),
          ),
        )
      : null,
    rows.length
      ? h(
          "details",
          { "data-key": `lanes ${one.address}` },
          h(
            "summary",
            {},
            `${one.lanes.length} ${one.lanes.length === 1 ? "lane" : "lanes"}, ` +
              `${plain(lagOf(one))} records waiting`,
          ),
          h(
            "div",
            {
              class: "scroll",
              tabindex: "0",
              role: "region",
              "aria-label": `Lanes of ${one.address}`,
            },
            h("table", {}, h("thead", {}, head), h("tbody", {}, rows)),
          ),
          one.lanes.length > shown.length
            ? h("p", { class: "hint" }, `and ${one.lanes.length - shown.length} more lanes`)
            : null,
        )
      : null,
  );
}
