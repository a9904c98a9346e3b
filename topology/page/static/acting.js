// What a person does: silence, end a silence, acknowledge. The API asks for a token, so that it is known who may.

import { h } from "./dom.js";
import { dialog, field, form } from "./dialogs.js";
import { clock } from "./units.js";

const NAME = "sentinel.name";
const SPANS = [
  ["30 minutes", 1800],
  ["1 hour", 3600],
  ["2 hours", 7200],
  ["8 hours", 28800],
  ["24 hours", 86400],
  ["7 days", 604800],
];

function author() {
  return h("input", { required: true, maxlength: "100", autocomplete: "name", value: localStorage.getItem(NAME) ?? "" });
}

/** Opens a form that sends; `send(ask)` does it and answers with what to say. */
async function act(page, title, submitLabel, fields, name, send) {
  if (!(await page.mayAct())) return;
  await dialog(title, (close) =>
    form(
      submitLabel,
      fields,
      async (failed) => {
        localStorage.setItem(NAME, name.value.trim());
        try {
          const said = await send();
          close();
          page.say(said);
          page.soon();
        } catch (problem) {
          failed(problem.detail ?? problem.message);
        }
      },
      close,
    ),
  );
}

export function silence(page, incident) {
  const wanted = [`application=${incident.application}`];
  if (incident.models.length === 1) wanted.push(`model=${incident.models[0]}`);
  const matchers = h("textarea", { rows: "3", required: true, spellcheck: "false", autofocus: true });
  matchers.value = wanted.join("\n");
  const span = h("select", {}, SPANS.map(([text, seconds]) => h("option", { value: String(seconds) }, text)));
  span.value = "7200";
  const comment = h("input", { required: true, maxlength: "500", placeholder: "why, as in: deployment, known to the team" });
  const name = author();
  const hint = "One condition a line; all must hold. FIELD=VALUE or FIELD!=VALUE; application, incident, model, user, metric, detector, and severity also with <= and >=.";
  const fields = [field("What", matchers, hint), field("For how long", span), field("Comment", comment), field("Your name", name)];
  return act(page, "Silence", "Silence", fields, name, async () => {
    const made = await page.ask("/silences", {}, null, {
      method: "POST",
      body: {
        tenant: incident.tenant,
        matchers: matchers.value.split("\n").map((line) => line.trim()).filter(Boolean),
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
  const comment = h("input", { maxlength: "500", autofocus: true, placeholder: "what you are doing about it" });
  const name = author();
  const fields = [h("p", {}, "It is not told again while it is open, and those who were told hear that you care for it."), field("Comment", comment), field("Your name", name)];
  return act(page, "Acknowledge", "Acknowledge", fields, name, async () => {
    const path = `/incidents/${encodeURIComponent(incident.id)}/acknowledge`;
    await page.ask(path, { tenant: incident.tenant }, null, { method: "POST", body: { author: name.value.trim(), comment: comment.value.trim() } });
    return "Acknowledged; it may take a second until it shows.";
  });
}

export function endSilence(page, one) {
  const comment = h("input", { maxlength: "500", autofocus: true });
  const name = author();
  const fields = [h("p", {}, "Incidents that are open then are told at once."), field("Comment", comment), field("Your name", name)];
  return act(page, "End a silence", "End it", fields, name, async () => {
    const path = `/silences/${encodeURIComponent(one.id)}`;
    await page.ask(path, { tenant: one.tenant }, null, { method: "DELETE", body: { author: name.value.trim(), comment: comment.value.trim() } });
    return "The silence ends.";
  });
}
