// Incidents as a list: their order, who has acknowledged them, and the text of an empty list.

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

/** Open incidents first, by severity; then those that are over, the newest first. */
export function mostSevereFirst(items) {
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
  const data = await ask("/incidents", { ...filter, limit: LISTED });
  let items = data.items;
  if (data.next && state === "open" && !filter.cursor && !filter.severity.length) {
    // Severe ones that opened before all of these must not be on a later page.
    const severe = await ask("/incidents", {
      ...filter,
      severity: SEVERITIES.slice(0, 2),
      limit: LISTED,
    });
    const known = new Set(items.map((one) => `${one.tenant} ${one.id}`));
    items = [...items, ...severe.items.filter((one) => !known.has(`${one.tenant} ${one.id}`))];
  }
  const filtered =
    filter.severity.length > 0 || Boolean(filter.application) || Boolean(filter.cursor);
  const last =
    !items.length && state === "open" && !filtered
      ? (await ask("/incidents", { tenant, limit: LAST })).items
      : [];
  return {
    items: mostSevereFirst(items),
    next: data.next,
    last,
    state,
    filtered,
    query: [...query],
    isAll: !tenant,
  };
}

/**
 * `data` as `askIncidents` has it, `acknowledged` by tenant and id, `truth` how far it can be
 * believed.
 */
export function incidentList(data, acknowledged, truth) {
  const place = { path: "/", query: new URLSearchParams(data.query) };
  const line = (one) => incidentLine(one, acknowledged[`${one.tenant} ${one.id}`], data.isAll);
  if (data.items.length)
    return [
      h("ul", { class: "lines" }, data.items.map(line)),
      pager(place, data.next, "incidents"),
    ];
  if (data.filtered)
    return [empty("No incident matches the filter."), pager(place, null, "incidents")];
  if (data.state !== "open") return empty("There is no such incident.");
  return [
    empty(...truth),
    data.last.length
      ? [
          h("h3", { class: "last" }, "The last incidents"),
          h("ul", { class: "lines" }, data.last.map(line)),
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

/** Who acknowledged it, when, and with which comment. */
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
