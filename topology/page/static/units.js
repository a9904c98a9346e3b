// Numbers and times as people read them. Times in the API are µs since 1970-01-01 UTC.

import { h } from "./dom.js";

export const METRICS = [
  "latency",
  "time_to_first_token",
  "tokens",
  "cost",
  "error_rate",
  "request_rate",
];
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

const TIMES = new Set(["latency", "time_to_first_token"]);

/**
 * A value of a metric with its unit. Costs are in currency units (the API has 1e-9 of one), error
 * rates in percent.
 */
export function measured(metric, value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "not known";
  if (TIMES.has(metric) || metric.endsWith("_us")) return duration(value);
  if (metric === "cost" || metric === "cost_nano") return `${number(value / 1e9)} cu`;
  if (metric === "error_rate") return `${number(value * 100)} %`;
  if (metric === "request_rate") return `${number(value)} /s`;
  if (metric.endsWith("tokens")) return `${number(value, 4)} tokens`;
  if (metric === "requests") return `${number(value, 4)} calls`;
  return plain(value);
}

/** What a metric is called, and in which unit a chart has it. */
export function metricName(metric) {
  return metric.replaceAll("_", " ");
}

export function metricUnit(metric) {
  return (
    {
      tokens: "tokens of a call",
      cost: "cu = currency units of a call",
      error_rate: "% of calls",
      request_rate: "calls per second",
    }[metric] ?? ""
  );
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
