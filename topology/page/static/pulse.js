// The *pulse*: anomalies a minute over the newest hour, of all applications, the most severe at the
// bottom.

import { h, svg } from "./dom.js";
import { clock, SEVERITIES, time } from "./units.js";

const MINUTES = 60;
const MINUTE_US = 60e6;
const HEIGHT = 52;
/** Anomalies of a full column, at least: a single anomaly must not fill one. */
const MIN_SCALE = 4;

/**
 * From anomalies, newest first, of which there may be more than `limit`: counts by minute and
 * severity up to the newest.
 */
export function pulse(anomalies, limit) {
  if (!anomalies.length) return null;
  const newest = anomalies[0].event_time;
  const within = anomalies.filter((one) => one.event_time > newest - MINUTES * MINUTE_US);
  const minutes = Array.from({ length: MINUTES }, () => SEVERITIES.map(() => 0));
  for (const one of within) {
    const minute = MINUTES - 1 - Math.floor((newest - one.event_time) / MINUTE_US);
    minutes[minute][SEVERITIES.indexOf(one.severity)] += 1;
  }
  const totals = SEVERITIES.map((_, rank) =>
    minutes.reduce((sum, counts) => sum + counts[rank], 0),
  );
  return {
    newest,
    cut: within.length === limit,
    count: within.length,
    applications: new Set(within.map((one) => one.application)).size,
    minutes,
    totals,
  };
}

/** The picture of it, with the same in words. */
export function pulseCard(data) {
  if (!data) return null;
  const start = data.newest - MINUTES * MINUTE_US;
  const graded = SEVERITIES.map((name, rank) => [name, data.totals[rank]]).filter(
    ([, count]) => count,
  );
  const number = (count) => `${count.toLocaleString("en")}${data.cut ? "+" : ""}`;
  const which = data.cut ? `The newest ${data.count} anomalies` : "Anomalies";
  const counts = graded.map(([name, count]) => `${count} ${name}`).join(", ");
  const words = `${which} a minute from ${clock(start)} to ${clock(data.newest)}: ${counts}.`;
  return h(
    "section",
    { class: "card pulse", "aria-label": "The newest hour" },
    h(
      "dl",
      { class: "counts" },
      [
        ["Anomalies in the hour", number(data.count)],
        ["Critical or high", number(data.totals[0] + data.totals[1])],
        ["Applications", number(data.applications)],
        ["Newest", time(data.newest, true)],
      ].map(([term, what]) => h("div", {}, h("dt", {}, term), h("dd", {}, what))),
    ),
    h(
      "div",
      { class: "beat", role: "img", "aria-label": words },
      bars(data.minutes),
      h(
        "div",
        { class: "ends", "aria-hidden": "true" },
        h("span", {}, clock(start)),
        h("span", {}, clock(data.newest)),
      ),
    ),
  );
}

function bars(minutes) {
  const highest = Math.max(
    MIN_SCALE,
    ...minutes.map((counts) => counts.reduce((sum, count) => sum + count, 0)),
  );
  const made = svg("svg", {
    viewBox: `0 0 ${MINUTES * 10} ${HEIGHT}`,
    preserveAspectRatio: "none",
  });
  minutes.forEach((counts, minute) => {
    let floor = HEIGHT;
    made.append(
      svg("rect", { x: minute * 10 + 1, y: HEIGHT - 2, width: 8, height: 2, class: "ground" }),
    );
    counts.forEach((count, rank) => {
      const height = (count * HEIGHT) / highest;
      floor -= height;
      if (count)
        made.append(
          svg("rect", {
            x: minute * 10 + 1,
            y: floor,
            width: 8,
            height,
            class: `bar-${SEVERITIES[rank]}`,
          }),
        );
    });
  });
  return made;
}
