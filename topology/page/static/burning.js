// Affected applications, with their anomalies of the newest hour.

import { cut, h, svg } from "./dom.js";
import { empty, link, severity } from "./parts.js";
import { ago, METRICS, SEVERITIES } from "./units.js";
import { address } from "./api.js";

const HOUR_US = 3_600_000_000;
const MINUTES = 60;

/** Maximum number of anomalies that are read. */
export const LOOKED_AT = 300;

/**
 * The applications with open incidents, the most severe first, each with its anomalies of the
 * newest hour by minute.
 */
export function burning(open, anomalies) {
  const found = new Map();
  const keyOf = (one) => JSON.stringify([one.tenant, one.application]);
  for (const one of open) {
    const entry = found.get(keyOf(one)) ?? {
      tenant: one.tenant,
      application: one.application,
      incidents: 0,
      count: 0,
      rank: SEVERITIES.length,
      minutes: {},
    };
    entry.incidents += 1;
    entry.rank = Math.min(entry.rank, SEVERITIES.indexOf(one.severity));
    found.set(keyOf(one), entry);
  }
  const end = endOf(anomalies);
  const within = anomalies.filter((one) => one.event_time > end - HOUR_US);
  for (const one of within) {
    const entry = found.get(keyOf(one));
    if (!entry) continue;
    const minute = Math.max(0, MINUTES - 1 - Math.floor(Math.max(0, end - one.event_time) / 60e6));
    entry.count += 1;
    const bar = (entry.minutes[minute] ??= [0, SEVERITIES.length - 1]);
    bar[0] += 1;
    bar[1] = Math.min(bar[1], SEVERITIES.indexOf(one.severity));
  }
  const applications = [...found.values()].sort(
    (a, b) => a.rank - b.rank || b.count - a.count || (a.application < b.application ? -1 : 1),
  );
  return {
    newest: anomalies[0]?.event_time ?? null,
    applications: applications.slice(0, 8),
    more: Math.max(0, applications.length - 8),
    cut: within.length === LOOKED_AT,
  };
}

/**
 * The end of the newest hour: now, unless the newest anomaly is older than an hour, as in recorded
 * traffic.
 */
function endOf(anomalies) {
  const now = Date.now() * 1000;
  const newest = anomalies[0]?.event_time ?? now;
  return now - newest < HOUR_US ? Math.max(now, newest) : newest + 10e6;
}

/**
 * The series of the most severe anomaly of the newest hour, the newest of several, with all its
 * anomalies; null if none has a series.
 */
export function mostSevere(anomalies) {
  const end = endOf(anomalies);
  const within = anomalies.filter((one) => one.event_time > end - HOUR_US);
  const about = (one) => JSON.stringify([one.tenant, one.application, one.model, one.metric]);
  const [first] = within
    .filter((one) => one.model !== null && one.user === null && METRICS.includes(one.metric))
    .sort(
      (a, b) =>
        SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) ||
        b.event_time - a.event_time,
    );
  if (!first) return null;
  const { tenant, application, model, metric } = first;
  const marks = within
    .filter((one) => about(one) === about(first))
    .map((one) => ({ from: one.window_start, to: one.window_end, severity: one.severity }));
  // To the minute, so that the same picture is not drawn again each time.
  const until = Math.ceil(end / 60e6) * 60e6;
  return { subject: { tenant, application, model, metric }, marks, until, since: until - HOUR_US };
}

/** The list of affected applications. */
export function burningList(data, isAll) {
  if (!data.applications.length) {
    return empty(
      "No application is affected.",
      data.newest === null
        ? "No incident is open, and no anomaly is stored."
        : `No incident is open. The last anomaly was ${ago(data.newest)}.`,
    );
  }
  return [
    h(
      "p",
      { class: "hint" },
      "Applications with open incidents, and their anomalies in the newest hour",
      data.cut ? `, of its newest ${LOOKED_AT}.` : ".",
    ),
    h(
      "ul",
      { class: "burning" },
      data.applications.map((one) =>
        h(
          "li",
          {},
          link(
            address("/explore", { tenant: one.tenant, application: one.application }),
            cut(isAll ? `${one.application} (${one.tenant})` : one.application, 40),
          ),
          spark(one.minutes),
          h(
            "span",
            { class: "count" },
            `${one.count} `,
            h("span", { class: "unseen" }, "anomalies, the most severe incident"),
          ),
          severity(SEVERITIES[one.rank]),
        ),
      ),
    ),
    data.more ? h("p", { class: "hint" }, `and ${data.more} more applications`) : null,
  ];
}

function spark(minutes) {
  const highest = Math.max(1, ...Object.values(minutes).map(([count]) => count));
  const bars = Object.entries(minutes).map(([minute, [count, rank]]) => {
    const height = 4 + (12 * count) / highest;
    return svg("rect", {
      x: minute * 2,
      y: 16 - height,
      width: 1.6,
      height,
      class: `bar-${SEVERITIES[rank]}`,
    });
  });
  return svg(
    "svg",
    { viewBox: "0 0 120 16", class: "spark", "aria-hidden": "true", preserveAspectRatio: "none" },
    svg("rect", { x: 0, y: 15, width: 120, height: 1, class: "ground" }),
    ...bars,
  );
}
