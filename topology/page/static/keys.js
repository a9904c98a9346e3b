// Keys that work anywhere but where one writes.

const GO_MS = 1500;

/**
 * `actions`: by key, or by "g" and a second key as in "g n". Returns nothing; listens as long as
 * the page lives.
 */
export function listen(actions) {
  let goUntil = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
    if (event.target.closest("input, select, textarea, dialog, [contenteditable]")) return;
    const went = performance.now() < goUntil;
    goUntil = 0;
    if (event.key === "g" && !went) {
      goUntil = performance.now() + GO_MS;
      return;
    }
    const action = actions[went ? `g ${event.key}` : event.key];
    if (action) {
      event.preventDefault();
      action();
    }
  });
}

export const DESCRIBED = [
  ["g n", "Now"],
  ["g e", "Explore"],
  ["g p", "Pipeline"],
  ["/", "To the filter"],
  ["r", "Ask again"],
  ["t", "Light or dark"],
  ["?", "These keys"],
  ["Esc", "Close a dialog"],
];
