// Actions of a person: silence, end a silence, acknowledge, close. The API requires a token for
// them.

import { Problem } from "./api.js";
import { h } from "./dom.js";
import { dialog, field, form } from "./dialogs.js";
import { clock } from "./units.js";

const NAME = "sentinel.name";
/**
 * How long the dialog waits for the stage's answer, which normally comes within a second or two.
 */
const ANSWER_MS = 10_000;
const AGAIN_MS = 500;
const SPANS = [
  ["30 minutes", 1800],
  ["1 hour", 3600],
  ["2 hours", 7200],
  ["8 hours", 28800],
  ["24 hours", 86400],
  ["7 days", 604800],
];

function author() {
  return h("input", {
    required: true,
    maxlength: "100",
    autocomplete: "name",
    value: localStorage.getItem(NAME) ?? "",
  });
}

/**
 * Opens a form; `send(waiting)` submits it and returns the text to show. An error after the form
 * was closed is shown on the page.
 */
async function act(page, title, submitLabel, fields, name, send) {
  if (!(await page.mayAct())) return;
  let isShown = true;
  await dialog(title, (close) =>
    form(
      submitLabel,
      fields,
      async (failed, waiting) => {
        localStorage.setItem(NAME, name.value.trim());
        try {
          const said = await send(waiting);
          close();
          page.say(said);
          page.soon();
        } catch (problem) {
          (isShown ? failed : (why) => page.say(why))(problem.detail ?? problem.message);
        }
      },
      close,
    ),
  );
  isShown = false;
}

/**
 * The result of an accepted command, its record on the topic `audit`; null if there is none in
 * time, or it cannot be read.
 */
async function answerTo(page, tenant, target, accepted) {
  const deadline = AbortSignal.timeout(ANSWER_MS);
  while (!deadline.aborted) {
    try {
      const found = await page.ask("/audit", { tenant, target }, deadline);
      const own = found?.items.find(
        (one) => one.command_id === accepted.command_id && one.asked_at === accepted.asked_at,
      );
      if (own) return own;
    } catch (problem) {
      // The command is on its topic even if this request fails.
      if (!(problem instanceof Problem)) throw problem;
    }
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
  return null;
}

/**
 * Asks for a comment and a name, sends a command about `target` of `tenant`, and shows the answer
 * of `stage`, which carries it out.
 */
function command(
  page,
  { title, submitLabel, meaning, placeholder, path, method = "POST", tenant, target, stage, done },
) {
  const comment = h("input", { maxlength: "500", autofocus: true, placeholder });
  const name = author();
  const fields = [
    meaning.map((one) => h("p", {}, one)),
    field("Comment", comment),
    field("Your name", name),
  ];
  return act(page, title, submitLabel, fields, name, async (waiting) => {
    const accepted = await page.ask(path, { tenant }, null, {
      method,
      body: { author: name.value.trim(), comment: comment.value.trim() },
    });
    page.soon();
    waiting(`Sent. Waiting for ${stage} to answer…`);
    const answer = await answerTo(page, tenant, target, accepted);
    if (!answer)
      return `Sent, but ${stage} has not answered yet. It carries this out when it runs.`;
    if (answer.outcome === "refused")
      throw new Problem(
        409,
        "Refused",
        `Refused by ${stage}: ${answer.detail || "no reason is given"}.`,
      );
    return done;
  });
}

export function silence(page, incident) {
  const wanted = [`application=${incident.application}`];
  if (incident.models.length === 1) wanted.push(`model=${incident.models[0]}`);
  const matchers = h("textarea", {
    rows: "3",
    required: true,
    spellcheck: "false",
    autofocus: true,
  });
  matchers.value = wanted.join("\n");
  const span = h(
    "select",
    {},
    SPANS.map(([text, seconds]) => h("option", { value: String(seconds) }, text)),
  );
  span.value = "7200";
  const comment = h("input", {
    required: true,
    maxlength: "500",
    placeholder: "why, for example: deployment, known to the team",
  });
  const name = author();
  const hint =
    "One condition per line; all must match. FIELD=VALUE or FIELD!=VALUE; application, " +
    "incident, model, user, metric, detector, and severity also with <= and >=.";
  const fields = [
    field("What", matchers, hint),
    field("For how long", span),
    field("Comment", comment),
    field("Your name", name),
  ];
  return act(page, "Silence", "Silence", fields, name, async () => {
    const made = await page.ask("/silences", {}, null, {
      method: "POST",
      body: {
        tenant: incident.tenant,
        matchers: matchers.value
          .split("\n")
          .map((line) => line.trim())
          .filter(Boolean),
        for_s: Number(span.value),
        comment: comment.value.trim(),
        author: name.value.trim(),
        everything: false,
      },
    });
    return `Silenced until ${clock(made.ends_at)}.`;
  });
}

export function acknowledge(page, incident) {
  return command(page, {
    title: "Acknowledge",
    submitLabel: "Acknowledge",
    meaning: [
      "Receivers that were notified of this incident are informed that you have it, and it is " +
        "not repeated.",
      "A rise in severity and the end of the incident are still sent.",
    ],
    placeholder: "what you are doing about it",
    path: `/incidents/${encodeURIComponent(incident.id)}/acknowledge`,
    tenant: incident.tenant,
    target: incident.id,
    stage: "alert",
    done: "Acknowledged.",
  });
}

export function closeIncident(page, incident) {
  return command(page, {
    title: "Close incident",
    submitLabel: "Close incident",
    meaning: [
      "The incident ends now, whatever the data say. Receivers that were notified of it are " +
        "informed that it was closed.",
      "What is still abnormal opens no new incident until it has been normal once. Anything " +
        "else that becomes abnormal does.",
      "A closed incident cannot be opened again. To stop its messages for a while, silence it; " +
        "to say that you are working on it, acknowledge it.",
    ],
    placeholder: "why it is over",
    path: `/incidents/${encodeURIComponent(incident.id)}/close`,
    tenant: incident.tenant,
    target: incident.id,
    stage: "correlate",
    done: "The incident is closed.",
  });
}

export function endSilence(page, one) {
  return command(page, {
    title: "End a silence",
    submitLabel: "End it",
    meaning: ["Incidents that are still open are notified at once."],
    placeholder: "why it ends now",
    path: `/silences/${encodeURIComponent(one.id)}`,
    method: "DELETE",
    tenant: one.tenant,
    target: one.id,
    stage: "alert",
    done: "The silence has ended.",
  });
}
