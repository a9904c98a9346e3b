// Dialogs, the browser's own: focus goes in and comes back, Esc closes.

import { h } from "./dom.js";
import { DESCRIBED } from "./keys.js";

let number = 0;

/** Opens a dialog of a title and a body; answers when it is closed. `body(close)` gives its content. */
export function dialog(title, body) {
  return new Promise((done) => {
    const id = `dialog-${(number += 1)}`;
    const close = () => made.close();
    const head = h("header", {}, h("h2", { id }, title), h("button", { type: "button", class: "quiet", "aria-label": "Close", click: close }, "✕"));
    const made = h("dialog", { "aria-labelledby": id }, head, body(close));
    made.addEventListener("close", () => {
      made.remove();
      done();
    });
    // A click beside it closes it: then the dialog's own backdrop is what was hit.
    made.addEventListener("pointerdown", (event) => {
      if (event.target === made) close();
    });
    document.body.append(made);
    made.showModal();
    (made.querySelector("[autofocus]") ?? made.querySelector("input, textarea, select"))?.focus();
  });
}

/** Whether one is open. */
export function isOpen() {
  return document.querySelector("dialog[open]") !== null;
}

/** Keys and what they do. */
export function showKeys() {
  return dialog("Keys", () => h("dl", { class: "keys" }, DESCRIBED.map(([key, what]) => h("div", {}, h("dt", {}, key.split(" ").map((one) => h("kbd", {}, one))), h("dd", {}, what)))));
}

/** A field of a form with its label. */
export function field(label, control, hint) {
  return h("label", { class: "field" }, h("span", {}, label), control, hint ? h("small", {}, hint) : null);
}

/** A form whose submission is ours: `submit(failed)` does it; `failed(text)` says why it cannot be. */
export function form(submitLabel, fields, submit, close) {
  const why = h("p", { class: "wrong", role: "alert", hidden: true });
  const failed = (text) => {
    why.textContent = "";
    why.append(h("span", {}, text));
    why.hidden = false;
  };
  const button = h("button", { type: "submit", class: "primary" }, submitLabel);
  const made = h(
    "form",
    {
      submit: async (event) => {
        event.preventDefault();
        button.disabled = true;
        why.hidden = true;
        try {
          await submit(failed);
        } finally {
          button.disabled = false;
        }
      },
    },
    fields,
    why,
    h("footer", {}, h("button", { type: "button", click: close }, "Cancel"), button),
  );
  return made;
}

/** Asks for the token; answers with it, or null when the person leaves. */
export async function askToken(why) {
  let given = null;
  await dialog("Token", (close) => {
    const input = h("input", { type: "password", autocomplete: "off", required: true, autofocus: true, spellcheck: "false" });
    const hint = "The operators' token, or a tenant's, from api.token_file or api.tenant_tokens. It is kept for this tab only.";
    return form("Use it", [h("p", {}, why), field("Bearer token", input, hint)], async () => {
      given = input.value.trim() || null;
      close();
    }, close);
  });
  return given;
}
