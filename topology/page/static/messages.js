// Messages from their records: a decision, then what became of it, all under one id.

import { badge } from "./parts.js";

const OUTCOMES = { delivered: "good", failed: "bad" };

export const outcome = (name) => badge(name, OUTCOMES[name] ?? "");

/**
 * One entry per message, newest first: why it was decided, its last outcome, the number of
 * attempts, and all its records. `records` are newest first.
 */
export function messagesOf(records) {
  const found = new Map();
  for (const one of records) {
    const entry = found.get(one.id) ?? { ...one, title: null, tries: 0, records: [] };
    entry.tries = Math.max(entry.tries, one.attempt ?? 0);
    entry.records.push(one);
    entry.body ||= one.body;
    entry.title ??= titleOf(one);
    // The oldest record says why; one that failed says that itself.
    if (entry.outcome !== "failed") entry.reason = one.reason;
    found.set(one.id, entry);
  }
  const titles = new Map(
    [...found.values()].filter((one) => one.title).map((one) => [one.incident_id, one.title]),
  );
  // What was held back has no body; another message about the same incident has its title.
  for (const one of found.values()) one.title ??= titles.get(one.incident_id) ?? null;
  return [...found.values()];
}

/**
 * The title of the incident in a message. The body is Sentinel's JSON, but with texts from
 * telemetry.
 */
function titleOf(record) {
  try {
    const title = JSON.parse(record.body)?.data?.incident?.title;
    return typeof title === "string" ? title : null;
  } catch {
    return null;
  }
}
