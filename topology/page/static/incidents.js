// Incidents as a list: which come first, who has them, and what is said where there is none.

import { cut, h } from "./dom.js";
import { badge, empty, incidentHref, link, names, pager, severity } from "./parts.js";
import { goodNews } from "./truth.js";
import { SEVERITIES, since, time } from "./units.js";

/** Incidents of a page of the list. */
export const LISTED = 100;
const LAST = 10;

export const isOpen = (one) => one.state === "open";

/** States that a filter can ask for. */
export const STATES = ["open", "resolved", "given_up", "closed", "all"];

/** What is open first, the gravest of it before all others; then what is over, the newest first. */
export function gravestFirst(items) {
  const rank = (one) => (isOpen(one) ? SEVERITIES.indexOf(one.severity) : SEVERITIES.length);
  return items.toSorted(
    (a, b) => rank(a) - rank(b) || (isOpen(a) ? b.opened_at - a.opened_at : over(b) - over(a)),
  );
}

const over = (one) => one.resolved_at ?? one.updated_at;

/** Asks for what the filter says; where nothing is open, also for the last incidents. */
export async function askIncidents(ask, tenant, query) {
  const state = query.get("state") ?? "open";
  const filter = {
    tenant,
    state: state === "all" ? null : state,
    severity: query.getAll("severity"),
    application: query.get("application"),
    cursor: query.get("cursor"),
  };
  const told = await ask("/incidents", { ...filter, limit: LISTED });
  let items = told.items;
  if (told.next && state === "open" && !filter.cursor && !filter.severity.length) {
    // Grave ones that opened before all these must not be left for a later page.
    const grave = await ask("/incidents", {
      ...filter,
      severity: SEVERITIES.slice(0, 2),
      limit: LISTED,
    });
    const known = new Set(items.map((one) => `${one.tenant} ${one.id}`));
    items = [...items, ...grave.items.filter((one) => !known.has(`${one.tenant} ${one.id}`))];
  }
  const filtered =
    filter.severity.length > 0 || Boolean(filter.application) || Boolean(filter.cursor);
  const last =
    !items.length && state === "open" && !filtered
      ? (await ask("/incidents", { tenant, limit: LAST })).items
      : [];
  return {
    items: gravestFirst(items),
    next: told.next,
    last,
    state,
    filtered,
    query: [...query],
    isAll: !tenant,
  };
}

/**
 * `told` as `askIncidents` has it, `acknowledged` by tenant and id, `truth` how far it can be
 * believed.
 */
export function incidentList(told, acknowledged, truth) {
  const place = { path: "/", query: new URLSearchParams(told.query) };
  const line = (one) => incidentLine(one, acknowledged[`${one.tenant} ${one.id}`], told.isAll);
  if (told.items.length)
    return [
      h("ul", { class: "lines" }, told.items.map(line)),
      pager(place, told.next, "incidents"),
    ];
  if (told.filtered)
    return [empty("No incident fits the filter."), pager(place, null, "incidents")];
  if (told.state !== "open") return empty("There is no such incident.");
  return [
    empty(...truth),
    told.last.length
      ? [
          h("h3", { class: "last" }, "The last incidents"),
          h("ul", { class: "lines" }, told.last.map(line)),
        ]
      : null,
  ];
}

/** What `incidentList` takes as `truth`. */
export const newsOf = (truth) => goodNews(truth);

function incidentLine(one, acknowledgement, isAll) {
  return h(
    "li",
    { class: `line edge-${one.severity} ${isOpen(one) ? "" : "over"}` },
    h(
      "div",
      { class: "line-head" },
      severity(one.severity),
      link(incidentHref(one.tenant, one.id), cut(one.title, 140)),
      stateBadge(one),
    ),
    h(
      "div",
      { class: "line-foot" },
      h("b", {}, cut(one.application, 40)),
      isAll ? [" of ", h("b", {}, cut(one.tenant, 30))] : null,
      ...(one.models.length ? [" · ", names(one.models)] : []),
      " · ",
      one.anomaly_count === 1 ? "1 anomaly" : `${one.anomaly_count.toLocaleString("en")} anomalies`,
      " · ",
      isOpen(one)
        ? ["for ", since(one.opened_at), ", since ", time(one.opened_at)]
        : ["over ", time(over(one), true)],
      one.no_data_since ? [" · no data since ", time(one.no_data_since)] : null,
    ),
    acknowledgement && isOpen(one)
      ? h("div", { class: "line-foot" }, ownerOf(acknowledgement))
      : null,
  );
}

/** Who takes care of it, what they wrote, since when. */
export function ownerOf(one) {
  return [
    badge("acknowledged", "good"),
    " by ",
    h("b", {}, cut(one.author, 40)),
    " ",
    time(one.at, true),
    one.comment ? [": ", cut(one.comment, 120)] : null,
  ];
}

/** The state, where it is not simply open. */
export function stateBadge(one) {
  if (isOpen(one)) return one.no_data_since ? badge("no data", "warn") : null;
  return one.state === "resolved"
    ? badge("resolved", "good")
    : badge(one.state.replaceAll("_", " "), "warn");
}

/** Acknowledgements by tenant and incident. */
export function byIncident(acknowledgements) {
  return Object.fromEntries(
    acknowledgements.map((one) => [`${one.tenant} ${one.incident_id}`, one]),
  );
}
