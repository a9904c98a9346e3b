// The four numbers that a person on call looks for first: now, usual, how unusual, since when.

import { h } from "./dom.js";
import { section } from "./parts.js";
import { measured, metricName, plain, SEVERITIES, since, time } from "./units.js";

/** Of the gravest of these anomalies what was measured last; `isOpen`: whether it goes on. */
export function newestOfGravest(anomalies) {
  const rank = (one) => SEVERITIES.indexOf(one.severity);
  const [gravest] = anomalies.toSorted((a, b) => rank(a) - rank(b) || b.event_time - a.event_time);
  const like = (one) => one.metric === gravest.metric && one.model === gravest.model && one.user === gravest.user;
  return gravest ? anomalies.filter(like).toSorted((a, b) => b.event_time - a.event_time)[0] : null;
}

export function numbersOf(one, from, isOpen) {
  if (!one) return null;
  const usual = one.expected === null || one.expected === undefined;
  const tiles = [
    [isOpen ? "Now" : "Then", measured(one.metric, one.observed), [metricName(one.metric), ", ", time(one.window_end)]],
    ["Usual", usual ? "—" : measured(one.metric, one.expected), usual ? "no number was expected" : "what was expected"],
    ["How unusual", unusual(one), `${plain(one.confidence * 100, 3)} % sure`],
    ["Since", time(from), isOpen ? ["for ", since(from)] : time(from, true)],
  ];
  return section("In numbers", h("dl", { class: "tiles" }, tiles.map(([term, what, more]) => h("div", {}, h("dt", {}, term), h("dd", {}, what), h("dd", { class: "hint" }, more)))));
}

/** As a factor where there is one, else what the detector says of a rule or a check. */
function unusual(one) {
  if (!one.expected) return one.expected === 0 ? "from zero" : "a limit is broken";
  const factor = one.observed / one.expected;
  if (factor === 0) return "nothing at all";
  return factor >= 1 ? `${plain(factor, 3)} times` : `${plain(factor * 100, 2)} % of it`;
}
