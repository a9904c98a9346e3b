// Small elements that several views share.

import { cut, h } from "./dom.js";
import { measured, metricName, SEVERITIES, time } from "./units.js";

export const incidentHref = (tenant, id) =>
  `/incidents/${encodeURIComponent(tenant)}/${encodeURIComponent(id)}`;
export const anomalyHref = (tenant, id) =>
  `/anomalies/${encodeURIComponent(tenant)}/${encodeURIComponent(id)}`;

/** A link within the page. */
export function link(href, ...text) {
  return h("a", { href, "data-go": true, "data-key": href }, ...text);
}

/**
 * A severity: its name and as many filled steps as its rank, so that it does not rely on colour.
 */
export function severity(name) {
  const rank = SEVERITIES.length - SEVERITIES.indexOf(name);
  const steps = [1, 2, 3, 4, 5].map((step) => h("i", { class: step <= rank ? "on" : null }));
  return h(
    "span",
    { class: `sev sev-${SEVERITIES.includes(name) ? name : "info"}` },
    h("span", { class: "steps", "aria-hidden": "true" }, steps),
    name,
  );
}

/** A state or outcome as a small framed word. */
export function badge(word, kind = "") {
  return h("span", { class: `badge ${kind}` }, word);
}

export function loading(what) {
  return h("p", { class: "loading", role: "status" }, `Loading ${what}…`);
}

export function empty(text, more) {
  return h("p", { class: "empty" }, text, more ? h("small", {}, more) : null);
}

const HINTS = {
  0: "The page retries by itself.",
  403: "Choose another tenant, or give another token.",
  404: "It may have been deleted (retention), or it belongs to another tenant.",
  503: "The page retries by itself; the API's log says more.",
};

/** What went wrong, what to do, and a button to ask again. */
export function trouble(problem, again) {
  const hint = HINTS[problem.status];
  return h(
    "div",
    { class: "trouble", role: "alert" },
    h("strong", {}, problem.title ?? "Something is wrong"),
    h("p", {}, cut(problem.detail ?? problem.message, 400)),
    hint ? h("p", {}, hint) : null,
    again ? h("button", { type: "button", click: again }, "Retry") : null,
  );
}

/** Names, a few of them. */
export function names(list, limit = 3) {
  if (!list.length) return "—";
  const shown = list.slice(0, limit).map((one, index) => [index ? ", " : "", cut(one, 40)]);
  return list.length > limit
    ? [
        shown,
        h("span", { title: list.slice(0, 50).join(", ") }, ` and ${list.length - limit} more`),
      ]
    : shown;
}

/** Links to older entries, and back to the newest. */
export function pager(place, next, what) {
  const at = (cursor) => {
    const query = new URLSearchParams(place.query);
    query.delete("cursor");
    if (cursor) query.set("cursor", cursor);
    return `${place.path}${query.size ? `?${query}` : ""}`;
  };
  if (!next && !place.query.get("cursor")) return null;
  return h(
    "nav",
    { class: "pager", "aria-label": `Pages of ${what}` },
    place.query.get("cursor") ? link(at(null), "« Newest") : null,
    next ? link(at(next), "Older ›") : null,
  );
}

/** An anomaly in a line. */
export function anomalyLine(one) {
  return h(
    "li",
    { class: `line edge-${one.severity}` },
    h(
      "div",
      { class: "line-head" },
      severity(one.severity),
      link(
        anomalyHref(one.tenant, one.id),
        metricName(one.metric),
        " of ",
        cut([one.application, one.model].filter(Boolean).join("/"), 60),
      ),
    ),
    h(
      "div",
      { class: "line-foot" },
      observedText(one),
      one.user ? [" · user ", cut(one.user, 30)] : null,
      " · ",
      one.detector,
      " · ",
      time(one.event_time),
    ),
  );
}

/** Observed against expected. */
export function observedText(one) {
  const seen = measured(one.metric, one.observed);
  return one.expected === null || one.expected === undefined
    ? seen
    : `${seen}, ${measured(one.metric, one.expected)} expected`;
}

/** Ids of events or traces; `show` makes an element of one. */
export function idList(ids, show = (id) => h("code", {}, cut(id, 80)), limit = 50) {
  return h(
    "ul",
    { class: "ids" },
    ids.slice(0, limit).map((id) => h("li", {}, show(id))),
  );
}

/** Terms with their values. */
export function facts(pairs) {
  return h(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, what]) => what !== null && what !== undefined)
      .map(([term, what]) => h("div", {}, h("dt", {}, term), h("dd", {}, what))),
  );
}

/** A section with a heading; `more` is at the end of the heading. */
export function section(title, body, more = null, kind = "") {
  return h("section", { class: `card ${kind}` }, h("header", {}, h("h2", {}, title), more), body);
}
