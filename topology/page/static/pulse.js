// The *pulse*: anomalies a minute over the newest hour, of all applications, the gravest at the
// bottom.

import { h, svg } from "./dom.js";
import { clock, SEVERITIES, time } from "./units.js";

const MINUTES = 60;
const MINUTE_US = 60e6;
const HEIGHT = 52;
/** Least height of a full column, in anomalies: one of them alone is no alarm. */
const LEAST = 4;

/**
 * From anomalies, newest first, of which there may be more than `most`: counts by minute and
 * severity up to the newest.
 */
export function pulse(anomalies, most) {
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
    cut: within.length === most,
    count: within.length,
    applications: new Set(within.map((one) => one.application)).size,
    minutes,
    totals,
  };
}

/** The picture of it, with the same in words. */
export function pulseCard(told) {
  if (!told) return null;
  const start = told.newest - MINUTES * MINUTE_US;
  const graded = SEVERITIES.map((name, rank) => [name, told.totals[rank]]).filter(
    ([, count]) => count,
  );
  const number = (count) => `${count.toLocaleString("en")}${told.cut ? "+" : ""}`;
  const which = told.cut ? `The newest ${told.count} anomalies` : "Anomalies";
  const counts = graded.map(([name, count]) => `${count} ${name}`).join(", ");
  const words = `${which} a minute from ${clock(start)} to ${clock(told.newest)}: ${counts}.`;
  return h(
    "section",
    { class: "card pulse", "aria-label": "The newest hour" },
    h(
      "dl",
      { class: "counts" },
      [
        ["Anomalies in the hour", number(told.count)],
        ["Critical or high", number(told.totals[0] + told.totals[1])],
        ["Applications", number(told.applications)],
        ["Newest", time(told.newest, true)],
      ].map(([term, what]) => h("div", {}, h("dt", {}, term), h("dd", {}, what))),
    ),
    h(
      "div",
      { class: "beat", role: "img", "aria-label": words },
      bars(told.minutes),
      h(
        "div",
        { class: "ends", "aria-hidden": "true" },
        h("span", {}, clock(start)),
        h("span", {}, clock(told.newest)),
      ),
    ),
  );
}

function bars(minutes) {
  const most = Math.max(
    LEAST,
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
      const height = (count * HEIGHT) / most;
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
