// What burns: applications by the anomalies of the newest hour.

import { cut, h, svg } from "./dom.js";
import { empty, link, severity } from "./parts.js";
import { ago, METRICS, SEVERITIES, time } from "./units.js";
import { address } from "./api.js";

const HOUR_US = 3_600_000_000;
const MINUTES = 60;

/** Most anomalies that are looked at. */
export const LOOKED_AT = 300;

/** From anomalies, newest first: by application how many, how grave and when, the gravest first. */
export function burning(anomalies) {
  if (!anomalies.length) return { newest: null, applications: [], cut: false };
  const newest = anomalies[0].event_time;
  const found = new Map();
  const within = anomalies.filter((one) => one.event_time > newest - HOUR_US);
  for (const one of within) {
    const entry = found.get(one.application) ?? { application: one.application, count: 0, rank: SEVERITIES.length, last: 0, minutes: {} };
    const rank = SEVERITIES.indexOf(one.severity);
    const minute = MINUTES - 1 - Math.floor((newest - one.event_time) / 60e6);
    entry.count += 1;
    entry.rank = Math.min(entry.rank, rank);
    entry.last = Math.max(entry.last, one.event_time);
    const bar = (entry.minutes[minute] ??= [0, rank]);
    bar[0] += 1;
    bar[1] = Math.min(bar[1], rank);
    found.set(one.application, entry);
  }
  const applications = [...found.values()].sort((a, b) => a.rank - b.rank || b.count - a.count || (a.application < b.application ? -1 : 1));
  return { newest, applications: applications.slice(0, 8), more: Math.max(0, applications.length - 8), cut: within.length === LOOKED_AT };
}

/** The series that the gravest anomaly of the newest hour is about, the newest of these, with all its anomalies; null when none has a series. */
export function gravest(anomalies) {
  const within = anomalies.filter((one) => one.event_time > anomalies[0].event_time - HOUR_US);
  const about = (one) => JSON.stringify([one.application, one.model, one.metric]);
  const [first] = within.filter((one) => one.model !== null && one.user === null && METRICS.includes(one.metric)).sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) || b.event_time - a.event_time);
  if (!first) return null;
  const { application, model, metric } = first;
  const marks = within.filter((one) => about(one) === about(first)).map((one) => ({ from: one.window_start, to: one.window_end, severity: one.severity }));
  return { subject: { application, model, metric }, marks, until: anomalies[0].event_time + 10e6, since: anomalies[0].event_time - HOUR_US };
}

/** The list of it. */
export function burningList(tenant, told) {
  if (!told.applications.length) return empty("Nothing burns.", "No anomaly is stored for this tenant.");
  const old = Date.now() * 1000 - told.newest > HOUR_US;
  return [
    h("p", { class: "hint" }, `In the hour up to the newest anomaly, ${ago(told.newest)}`, old ? [" (", time(told.newest), ")"] : "", told.cut ? `; its newest ${LOOKED_AT}` : "", "."),
    h(
      "ul",
      { class: "burning" },
      told.applications.map((one) =>
        h(
          "li",
          {},
          link(address("/explore", { tenant, application: one.application }), cut(one.application, 40)),
          spark(one.minutes),
          h("span", { class: "count" }, `${one.count} `, h("span", { class: "unseen" }, "anomalies, the gravest")),
          severity(SEVERITIES[one.rank]),
        ),
      ),
    ),
    told.more ? h("p", { class: "hint" }, `and ${told.more} more applications`) : null,
  ];
}

function spark(minutes) {
  const most = Math.max(1, ...Object.values(minutes).map(([count]) => count));
  const bars = Object.entries(minutes).map(([minute, [count, rank]]) => {
    const height = 4 + (12 * count) / most;
    return svg("rect", { x: minute * 2, y: 16 - height, width: 1.6, height, class: `bar-${SEVERITIES[rank]}` });
  });
  return svg("svg", { viewBox: "0 0 120 16", class: "spark", "aria-hidden": "true", preserveAspectRatio: "none" }, svg("rect", { x: 0, y: 15, width: 120, height: 1, class: "ground" }), ...bars);
}
