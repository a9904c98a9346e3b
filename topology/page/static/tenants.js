// Whose data are shown: one tenant's, or for operators those of all at once.

import { h } from "./dom.js";

const CHOSEN = "sentinel.tenant";
const MAX_LISTED = 1000;

export class Tenants {
  constructor(select) {
    this.select = select;
    this.names = [];
    /** The one tenant of the token; null for operators. */
    this.own = null;
  }

  /** What the API knows: `me`, and the names of all tenants that the token may see. */
  known(me, names) {
    this.own = me.tenant;
    this.names = me.tenant && !names.includes(me.tenant) ? [me.tenant, ...names] : names;
  }

  /** Operators see all tenants at once, where there are several. */
  get maySeeAll() {
    return !this.own && this.names.length > 1;
  }

  /** What was chosen in this tab; null when nothing was, or all. */
  get chosen() {
    const kept = sessionStorage.getItem(CHOSEN);
    return this.names.includes(kept) ? kept : null;
  }

  choose(name) {
    sessionStorage.setItem(CHOSEN, name);
  }

  /**
   * The tenant of an address: what it names, what was chosen in this tab, else all of them (null);
   * a series is always one tenant's.
   */
  of(view, named) {
    if (named) return named;
    if (this.chosen) return this.chosen;
    return this.maySeeAll && view !== "explore" ? null : this.names[0];
  }

  /** Fills the list to choose from; `shown` is whose data are shown. */
  offer(shown) {
    if (this.select.contains(document.activeElement)) return;
    const names = shown && !this.names.includes(shown) ? [shown, ...this.names] : this.names;
    const all = this.maySeeAll ? [h("option", { value: "" }, "All tenants")] : [];
    this.select.replaceChildren(
      ...all,
      ...names
        .slice(0, MAX_LISTED)
        .map((one) => h("option", { value: one }, one.length > 40 ? `${one.slice(0, 39)}…` : one)),
    );
    this.select.value = shown ?? "";
    this.select.closest("label").hidden = names.length < 2;
  }
}
