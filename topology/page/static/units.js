// Numbers and times as people read them. Times in the API are µs since 1970-01-01 UTC.

import { h } from "./dom.js";
// Made by the server (topology/api/static.py) from its declarations of metrics.
import { MEASURES } from "./measures.js";

const DECLARED = new Map(MEASURES.map((one) => [one.name, one]));

export const METRICS = [...DECLARED.keys()];
export const SEVERITIES = ["critical", "high", "medium", "low", "info"];

const number = (value, digits = 3) =>
  value.toLocaleString("en", {
    maximumSignificantDigits: digits,
    notation: Math.abs(value) >= 1e6 ? "compact" : "standard",
  });

/** Whole numbers in full, others with `digits` significant digits. */
export function plain(value, digits = 6) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "not known";
  return value.toLocaleString(
    "en",
    Number.isInteger(value) ? {} : { maximumSignificantDigits: digits },
  );
}

/** A length of time, from µs: "850 µs", "12.3 ms", "2.5 s", "3.2 min". */
export function duration(us) {
  const size = Math.abs(us);
  if (size === 0) return "0 s";
  if (size < 1e3) return `${number(us)} µs`;
  if (size < 1e6) return `${number(us / 1e3)} ms`;
  if (size < 120e6) return `${number(us / 1e6)} s`;
  if (size < 7200e6) return `${number(us / 60e6)} min`;
  if (size < 172_800e6) return `${number(us / 3600e6)} h`;
  return `${number(us / 86_400e6)} days`;
}

/** A length of time in words, from seconds: "42 s", "10 min", "3 h", "5 days". */
export function lasting(s) {
  if (s < 90) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return s < 129600 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
}

/** The kind of unit of a metric, or of a field of an event whose name implies one. */
function unitOf(metric) {
  if (metric.endsWith("_us")) return "duration";
  if (metric === "cost_nano") return "money";
  return DECLARED.get(metric)?.unit ?? (metric.endsWith("tokens") ? "tokens" : undefined);
}

/**
 * A value of a metric with its unit. Costs are in currency units (the API has 1e-9 of one), error
 * rates in percent.
 */
export function measured(metric, value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "not known";
  switch (unitOf(metric)) {
    case "duration":
      return duration(value);
    case "money":
      return `${number(value / 1e9)} cu`;
    case "share":
      return `${number(value * 100)} %`;
    case "rate":
      return `${number(value)} /s`;
    case "tokens":
      return `${number(value, 4)} tokens`;
  }
  return metric === "requests" ? `${number(value, 4)} calls` : plain(value);
}

/** What a metric is called, and in which unit a chart has it. */
export function metricName(metric) {
  return DECLARED.get(metric)?.label ?? metric.replaceAll("_", " ");
}

export function metricUnit(metric) {
  return DECLARED.get(metric)?.chart_unit ?? "";
}

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

/** Local time of day, with the day where it is not today's. */
export function clock(us) {
  const moment = new Date(us / 1000);
  const today = moment.toDateString() === new Date().toDateString();
  return today ? CLOCK.format(moment) : `${DAY.format(moment)}, ${CLOCK.format(moment)}`;
}

export function utc(us) {
  return new Date(us / 1000).toISOString().replace(/\.000Z$/, "Z");
}

/** "just now", "3 min ago", "in 2 h". */
export function ago(us, now = Date.now() * 1000) {
  const s = (now - us) / 1e6;
  const size = Math.abs(s);
  if (size < 10) return "just now";
  return s > 0 ? `${lasting(size)} ago` : `in ${lasting(size)}`;
}

/** A time: local, UTC as its title. A relative one is kept up to date by `tick`. */
export function time(us, relative = false) {
  if (us === null || us === undefined) return "not known";
  const shown = relative ? ago(us) : clock(us);
  return h(
    "time",
    {
      datetime: utc(us),
      title: relative ? `${clock(us)} (${utc(us)})` : utc(us),
      "data-at": relative ? us : null,
    },
    shown,
  );
}

/** How long something has lasted from then until now; kept up to date by `tick`. */
export function since(us) {
  return h("span", { "data-since": us }, sinceText(us));
}

const sinceText = (us) => lasting(Math.max(0, (Date.now() * 1000 - us) / 1e6));

/** Brings relative times and durations up to date. */
export function tick() {
  for (const one of document.querySelectorAll("[data-since]")) {
    const text = sinceText(Number(one.dataset.since));
    if (one.textContent !== text) one.textContent = text;
  }
  for (const one of document.querySelectorAll("time[data-at]")) {
    const text = ago(Number(one.dataset.at));
    if (one.textContent !== text) one.textContent = text;
  }
}
