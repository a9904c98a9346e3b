// Small pieces that several views show.

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

/** A severity: its word beside as many filled steps as it is grave, so that colour is not all. */
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

/** A state or outcome as a small word in a frame. */
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
  0: "The page asks again by itself.",
  403: "Choose another tenant, or give another token.",
  404: "It may have been forgotten (retention), or it belongs to another tenant.",
  503: "The page asks again by itself; the API's log says more.",
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
    again ? h("button", { type: "button", click: again }, "Ask again") : null,
  );
}

/** Names, a few of them. */
export function names(list, most = 3) {
  if (!list.length) return "—";
  const shown = list.slice(0, most).map((one, index) => [index ? ", " : "", cut(one, 40)]);
  return list.length > most
    ? [shown, h("span", { title: list.slice(0, 50).join(", ") }, ` and ${list.length - most} more`)]
    : shown;
}

/** Links to what is older, and back to the newest. */
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
      told(one),
      one.user ? [" · user ", cut(one.user, 30)] : null,
      " · ",
      one.detector,
      " · ",
      time(one.event_time),
    ),
  );
}

/** Observed against expected. */
export function told(one) {
  const seen = measured(one.metric, one.observed);
  return one.expected === null || one.expected === undefined
    ? seen
    : `${seen}, ${measured(one.metric, one.expected)} expected`;
}

/** Ids of events or traces; `show` makes an element of one. */
export function idList(ids, show = (id) => h("code", {}, cut(id, 80)), most = 50) {
  return h(
    "ul",
    { class: "ids" },
    ids.slice(0, most).map((id) => h("li", {}, show(id))),
  );
}

/** Terms with what they say. */
export function facts(pairs) {
  return h(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, what]) => what !== null && what !== undefined)
      .map(([term, what]) => h("div", {}, h("dt", {}, term), h("dd", {}, what))),
  );
}

/** A section with a heading; `more` stands at the heading's end. */
export function section(title, body, more = null, kind = "") {
  return h("section", { class: `card ${kind}` }, h("header", {}, h("h2", {}, title), more), body);
}
