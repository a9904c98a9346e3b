// Dialogs, the browser's own: focus goes in and comes back, Esc closes.

import { h } from "./dom.js";
import { DESCRIBED } from "./keys.js";

let number = 0;

/**
 * Opens a dialog of a title and a body; resolves when it is closed. `body(close)` returns its
 * content.
 */
export function dialog(title, body) {
  return new Promise((done) => {
    const id = `dialog-${(number += 1)}`;
    const close = () => made.close();
    const head = h(
      "header",
      {},
      h("h2", { id }, title),
      h("button", { type: "button", class: "quiet", "aria-label": "Close", click: close }, "✕"),
    );
    const made = h("dialog", { "aria-labelledby": id }, head, body(close));
    const opener = document.activeElement?.dataset.key;
    made.addEventListener("close", () => {
      made.remove();
      refocus(opener);
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

/**
 * The browser returns focus to the element that opened the dialog. If that was replaced meanwhile,
 * its successor gets it; if it is gone, the content does.
 */
function refocus(key) {
  if (document.activeElement && document.activeElement !== document.body) return;
  const successor =
    key && [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key);
  (successor ?? document.getElementById("main")).focus({ preventScroll: true });
}

/** Whether one is open. */
export function isOpen() {
  return document.querySelector("dialog[open]") !== null;
}

/** Keys and what they do. */
export function showKeys() {
  return dialog("Keys", () =>
    h(
      "dl",
      { class: "keys" },
      DESCRIBED.map(([key, what]) =>
        h(
          "div",
          {},
          h(
            "dt",
            {},
            key.split(" ").map((one) => h("kbd", {}, one)),
          ),
          h("dd", {}, what),
        ),
      ),
    ),
  );
}

/** A field of a form with its label. */
export function field(label, control, hint) {
  return h(
    "label",
    { class: "field" },
    h("span", {}, label),
    control,
    hint ? h("small", {}, hint) : null,
  );
}

/**
 * A form that `submit(failed, waiting)` submits; `failed(text)` shows an error, `waiting(text)`
 * what it waits for.
 */
export function form(submitLabel, fields, submit, close) {
  const why = h("p", { class: "wrong", role: "alert", hidden: true });
  const failed = (text) => {
    why.textContent = "";
    why.append(h("span", {}, text));
    why.hidden = false;
  };
  const progress = h("p", { class: "hint", role: "status" });
  const waiting = (text) => progress.replaceChildren(text);
  // Not disabled while it submits: a disabled button would lose the focus.
  const button = h("button", { type: "submit", class: "primary" }, submitLabel);
  let busy = false;
  const made = h(
    "form",
    {
      submit: async (event) => {
        event.preventDefault();
        if (busy) return;
        busy = true;
        button.setAttribute("aria-disabled", "true");
        why.hidden = true;
        try {
          await submit(failed, waiting);
        } finally {
          busy = false;
          button.removeAttribute("aria-disabled");
          waiting("");
        }
      },
    },
    fields,
    why,
    progress,
    h("footer", {}, h("button", { type: "button", click: close }, "Cancel"), button),
  );
  return made;
}

/** Asks for the token; answers with it, or null when the person leaves. */
export async function askToken(why) {
  let given = null;
  await dialog("Token", (close) => {
    const input = h("input", {
      type: "password",
      autocomplete: "off",
      required: true,
      autofocus: true,
      spellcheck: "false",
    });
    const hint =
      "The operators' token, or a tenant's, from api.token_file or api.tenant_tokens. " +
      "It is kept for this tab only.";
    return form(
      "Use it",
      [h("p", {}, why), field("Bearer token", input, hint)],
      async () => {
        given = input.value.trim() || null;
        close();
      },
      close,
    );
  });
  return given;
}
