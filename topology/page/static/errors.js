// The errors of an anomaly's failed calls, and traces of some of them.

import { cut, h } from "./dom.js";
import { idList, section } from "./parts.js";
import { metricName } from "./units.js";

const MAX_ROWS = 8;

/**
 * `record`: an anomaly or an incident with a breakdown; `traceUrl`: an address with {trace_id}, or
 * null. Returns null if nothing is known.
 */
export function errorsOf(record, traceUrl) {
  const found = new Map();
  for (const one of record.breakdown ?? [])
    found.set(one.name, [...(found.get(one.name) ?? []), one]);
  const traces = record.sample_trace_ids ?? [];
  if (!found.size && !traces.length) return null;
  const rows = [...found].flatMap(([name, own]) =>
    own
      .slice(0, MAX_ROWS)
      .map((one, index) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, index ? "" : metricName(name)),
          h("td", {}, cut(one.value, 80)),
          h("td", { class: "number" }, one.count.toLocaleString("en")),
        ),
      ),
  );
  const head = h(
    "tr",
    {},
    ["Field", "Value", "Failed calls"].map((name, index) =>
      h("th", { scope: "col", class: index === 2 ? "number" : null }, name),
    ),
  );
  return section(
    "Which errors",
    [
      rows.length
        ? h(
            "div",
            {
              class: "scroll",
              tabindex: "0",
              role: "region",
              "aria-label": "Errors of failed calls",
            },
            h("table", {}, h("thead", {}, head), h("tbody", {}, rows)),
          )
        : null,
      traces.length
        ? [
            h("h3", {}, "Traces of some of these calls"),
            idList(traces, (id) => traceOf(id, traceUrl), MAX_ROWS),
          ]
        : null,
    ]
      .flat()
      .filter(Boolean),
  );
}

/**
 * A link to the trace, if the settings have an address for traces (alerting.trace_url).
 */
function traceOf(id, traceUrl) {
  const shown = h("code", {}, cut(id, 64));
  return traceUrl
    ? h(
        "a",
        {
          href: traceUrl.replaceAll("{trace_id}", encodeURIComponent(id)),
          target: "_blank",
          rel: "noreferrer noopener",
        },
        shown,
      )
    : shown;
}
