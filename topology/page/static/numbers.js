// The four numbers that a person on call looks for first: now, usual, how unusual, since when. And
// the record that has them.

import { h } from "./dom.js";
import { section } from "./parts.js";
import { measured, metricName, plain, SEVERITIES, since, time } from "./units.js";

/**
 * What an incident is about: its own evidence, or where an older record has none, what was measured
 * last of the most severe of its anomalies. Null where there is neither.
 */
export function leadOf(incident, anomalies) {
  const newest = newestOfMostSevere(anomalies);
  if (!incident.evidence_metric)
    return newest && { ...newest, since: incident.opened_at, at: newest.window_end };
  const {
    evidence_metric: metric,
    evidence_model: model,
    evidence_user: user,
    evidence_rule: rule,
    evidence_observed: observed,
  } = incident;
  const lead = { metric, model, user, rule, observed };
  // When it was measured, and how sure the detector was, only the anomaly says; it may be past the
  // first ones that an incident names.
  const same = anomalies.findLast((one) =>
    Object.entries(lead).every(([name, value]) => one[name] === value),
  );
  return {
    ...lead,
    application: incident.application,
    expected: incident.evidence_expected,
    score: incident.evidence_score,
    confidence: same?.confidence,
    since: incident.evidence_since ?? incident.opened_at,
    at: same?.window_end,
    breakdown: incident.breakdown,
    sample_event_ids: incident.sample_event_ids,
    sample_trace_ids: incident.sample_trace_ids,
  };
}

function newestOfMostSevere(anomalies) {
  const rank = (one) => SEVERITIES.indexOf(one.severity);
  const [mostSevere] = anomalies.toSorted(
    (a, b) => rank(a) - rank(b) || b.event_time - a.event_time,
  );
  const like = (one) =>
    one.metric === mostSevere.metric &&
    one.model === mostSevere.model &&
    one.user === mostSevere.user;
  return mostSevere
    ? anomalies.filter(like).toSorted((a, b) => b.event_time - a.event_time)[0]
    : null;
}

/**
 * `one`: an anomaly, or what `leadOf` returns, with `since` and, where it is known, `at`, the end
 * of what was measured; `isOpen`: whether it goes on.
 */
export function numbersOf(one, isOpen) {
  if (!one) return null;
  const isUnexpected = one.expected === null || one.expected === undefined;
  const sure =
    one.confidence === undefined
      ? `score ${plain(one.score, 3)}`
      : `${plain(one.confidence * 100, 3)} % sure`;
  const tiles = [
    [
      isOpen ? "Now" : "Then",
      measured(one.metric, one.observed),
      [metricName(one.metric), one.at ? [", ", time(one.at)] : null],
    ],
    [
      "Usual",
      isUnexpected ? "—" : measured(one.metric, one.expected),
      isUnexpected ? "no number was expected" : "what was expected",
    ],
    ["How unusual", unusual(one), sure],
    ["Since", time(one.since), isOpen ? ["for ", since(one.since)] : time(one.since, true)],
  ];
  return section(
    "In numbers",
    h(
      "dl",
      { class: "tiles" },
      tiles.map(([term, what, more]) =>
        h("div", {}, h("dt", {}, term), h("dd", {}, what), h("dd", { class: "hint" }, more)),
      ),
    ),
  );
}

/** As a factor where there is one, else what the detector says of a rule or a check. */
function unusual(one) {
  if (!one.expected) return one.expected === 0 ? "from zero" : "a limit is broken";
  const factor = one.observed / one.expected;
  if (factor === 0) return "nothing at all";
  return factor >= 1 ? `${plain(factor, 3)} times` : `${plain(factor * 100, 2)} % of it`;
}
