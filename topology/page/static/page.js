// The page: the view of an address, when its data are requested again, and the frame around it.

import { AnomalyView } from "./anomaly.js";
import { ask, address, decoded, Problem, setToken, takeToken, token } from "./api.js";
import { askToken, isOpen, showKeys } from "./dialogs.js";
import { h, visible } from "./dom.js";
import { ExploreView } from "./explore.js";
import { IncidentView } from "./incident.js";
import { listen } from "./keys.js";
import { Live } from "./live.js";
import { NowView } from "./now.js";
import { empty, trouble } from "./parts.js";
import { PipelineView } from "./pipeline.js";
import { toggleTheme } from "./looks.js";
import { Tenants } from "./tenants.js";
import { Truth } from "./truth.js";
import { clock, tick } from "./units.js";

const VIEWS = [
  ["now", /^\/$/, NowView],
  ["explore", /^\/explore$/, ExploreView],
  ["pipeline", /^\/pipeline$/, PipelineView],
  ["incident", /^\/incidents\/([^/]+)\/([^/]+)$/, IncidentView],
  ["anomaly", /^\/anomalies\/([^/]+)\/([^/]+)$/, AnomalyView],
];
const MIN_INTERVAL_MS = 1000;
/** The store may lag behind the topic that reported the change. */
const ONCE_MORE_MS = 1500;
const ANSWER_MS = 20_000;
const SLOW_MS = 15_000;
/** How often an empty store is asked whether it still is. */
const WAIT_MS = 2000;
/** New tenants are listed after this number of slow rounds. */
const TENANTS_EVERY = 4;
const TICK_MS = 10_000;
const SUBJECTS_MS = 10_000;

const main = document.getElementById("main");
const tenants = document.getElementById("tenant");
const dot = document.getElementById("live");

class Page {
  constructor() {
    this.place = null;
    this.view = null;
    this.me = null;
    this.known = { tenant: null, at: 0, items: [] };
    this.shown = 0;
    this.busy = null;
    this.pending = undefined;
    this.late = undefined;
    this.changedAt = 0;
    this.failed = false;
    this.timer = 0;
    this.again = 0;
    this.lastShow = 0;
    this.banner = null;
    this.tenants = new Tenants(tenants);
    this.unmet = null;
    this.waiting = 0;
    this.saidTimer = 0;
    this.asking = false;
    this.declined = false;
    this.truth = new Truth(dot, (truth) => this.view?.judged?.(truth));
    this.live = new Live(
      (changes) => this.#changed(changes),
      (state) => this.#state(state),
    );
  }

  ask(path, query, signal, options) {
    return ask(path, query, signal, options);
  }

  /** Subjects of a tenant, asked for at most every ten seconds. */
  async subjects(tenant, fresh = false) {
    const old = performance.now() - this.known.at > (fresh ? 1000 : SUBJECTS_MS);
    if (this.known.tenant !== tenant || old) {
      const found = await ask("/subjects", { tenant }, this.busy?.signal);
      this.known = { tenant, at: performance.now(), items: found.items };
    }
    return this.known.items;
  }

  /** Goes to an address of the page; the one before stays in the history. */
  go(to) {
    if (to !== location.pathname + location.search) history.pushState(null, "", to);
    return this.arrive();
  }

  /** Shows what the address names. */
  async arrive() {
    delete document.body.dataset.ready;
    this.pending = undefined;
    const place = this.#place();
    const same =
      this.view &&
      this.place.name === place.name &&
      this.place.path === place.path &&
      this.place.tenant === place.tenant;
    this.place = place;
    clearTimeout(this.waiting);
    if (this.#isNothingStored(place)) return this.#wait();
    if (!same) this.#open(place);
    await this.show(null);
  }

  #isNothingStored(place) {
    return !place.tenant && place.name && place.name !== "pipeline" && !this.tenants.names.length;
  }

  #retry() {
    this.declined = false;
    return this.show(null);
  }

  async #again() {
    this.declined = false;
    clearTimeout(this.waiting);
    await this.#meet();
    if (!this.view) await this.arrive();
  }

  /** Nothing is stored yet, or the API does not answer: retries until there are data. */
  #wait() {
    this.view?.close();
    this.view = null;
    const why = this.unmet
      ? trouble(this.unmet, () => this.#again())
      : empty(
          "Nothing is stored yet.",
          "The first series appear when their first buckets close, some seconds after the first " +
            "events. This page looks again by itself.",
        );
    if (!this.unmet) this.#look({ tenant: null }, AbortSignal.timeout(ANSWER_MS));
    if (main.textContent !== why.textContent)
      main.replaceChildren(h("h1", { class: "unseen" }, "Sentinel"), why);
    document.body.dataset.ready = "waiting";
    this.waiting = setTimeout(async () => {
      if (!document.hidden) await this.#meet();
      if (!this.view) await this.arrive();
    }, WAIT_MS);
  }

  /** Asks for what the view shows. `kinds`: what may have changed; null for everything. */
  async show(kinds) {
    this.busy?.abort();
    const mine = (this.busy = new AbortController());
    clearTimeout(this.timer);
    this.timer = 0;
    this.lastShow = performance.now();
    const { place, view } = this;
    try {
      if (!view) throw new Problem(404, "No such view", `Nothing is at ${location.pathname}.`);
      // After an error, everything is requested until all of it has come.
      const asked = this.failed ? null : kinds;
      if (asked === null || asked.has("slow") || asked.has("incident"))
        this.#look(place, mine.signal);
      await view.show(
        place,
        (path, query) =>
          ask(path, query, AbortSignal.any([mine.signal, AbortSignal.timeout(ANSWER_MS)])),
        asked,
      );
      if (mine.signal.aborted) return;
      this.failed = false;
      this.shown = Date.now();
      this.#wrong(null);
      document.title = `${visible(view.title).slice(0, 80)} · Sentinel`;
      document.body.dataset.ready = place.name;
    } catch (problem) {
      if (mine.signal.aborted || problem.name === "AbortError") return;
      this.failed = true;
      await this.#failed(problem);
    } finally {
      if (this.busy === mine) {
        this.busy = null;
        if (this.pending !== undefined) this.#schedule(MIN_INTERVAL_MS);
      }
    }
  }

  /** Requests the overview, which says how current the data are; the view's requests continue. */
  async #look(place, signal) {
    try {
      const overview = await ask(
        "/overview",
        { tenant: place.tenant },
        AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
      );
      if (!signal.aborted) this.truth.answered(overview);
    } catch (problem) {
      if (!signal.aborted && problem.name !== "AbortError") this.truth.failed(problem);
    }
  }

  /** Asks again soon, and once more when the store has caught up. */
  soon() {
    this.#changed(null);
  }

  say(text) {
    const said = document.getElementById("said");
    said.replaceChildren(h("p", {}, text));
    clearTimeout(this.saidTimer);
    this.saidTimer = setTimeout(() => said.replaceChildren(), 6000);
  }

  /**
   * Whether this user may silence and acknowledge; asks for a token if only that is missing.
   */
  async mayAct() {
    this.me = await ask("/me").catch(() => this.me);
    if (this.me?.can_act) return true;
    if (token() || !this.me) {
      this.say(this.me?.why_not ?? "The API does not answer.");
      return false;
    }
    await this.#giveToken(this.me.why_not);
    return Boolean(this.me?.can_act);
  }

  /** Back, forward, or another address in this tab, which may bring a token. */
  async #moved() {
    if (takeToken()) {
      this.declined = false;
      this.live.stop();
      await this.#meet();
      this.view?.close();
      this.view = null;
    }
    await this.arrive();
  }

  async start() {
    takeToken();
    // Before the first request: an address with a token may arrive while the page asks for one.
    addEventListener("popstate", () => this.#moved());
    await this.#meet();
    document.addEventListener("click", (event) => {
      const to = event.target.closest?.("a[data-go]");
      if (
        !to ||
        event.defaultPrevented ||
        event.button ||
        event.ctrlKey ||
        event.metaKey ||
        event.shiftKey ||
        event.altKey
      )
        return;
      event.preventDefault();
      this.go(
        to.dataset.view || to.getAttribute("href") === "/"
          ? this.to(to.getAttribute("href"))
          : to.getAttribute("href"),
      );
    });
    tenants.addEventListener("change", () => {
      this.tenants.choose(tenants.value);
      this.go(
        address(["explore", "pipeline"].includes(this.place.name) ? this.place.path : "/", {
          tenant: tenants.value,
        }),
      );
    });
    document.addEventListener("visibilitychange", () => this.#seen());
    setInterval(() => document.hidden || tick(), TICK_MS);
    let round = 0;
    setInterval(() => {
      if (document.hidden || !this.view) return;
      this.#changed([{ kind: "slow" }], false);
      if ((round += 1) % TENANTS_EVERY === 0 && !this.asking) this.#meet();
    }, SLOW_MS);
    await this.arrive();
  }

  async #meet() {
    try {
      const [me, listed] = await Promise.all([ask("/me"), ask("/tenants")]);
      this.me = me;
      this.unmet = null;
      this.tenants.known(
        me,
        listed.items.map((one) => one.tenant),
      );
    } catch (problem) {
      this.unmet = problem;
      if (problem.status === 401 && !this.declined) await this.#giveToken(problem.detail);
      // Other errors are reported by the view's own requests.
    }
    this.tenants.offer(this.place?.tenant);
  }

  /** An address of the page for the tenant that was chosen. */
  to(path) {
    return address(path, { tenant: this.tenants.chosen });
  }

  #place() {
    const query = new URLSearchParams(location.search);
    if (query.get("tenant")) this.tenants.choose(query.get("tenant"));
    for (const [name, pattern] of VIEWS) {
      const found = pattern.exec(location.pathname);
      if (!found) continue;
      const [tenant, id] = found.slice(1).map(decoded);
      return {
        name,
        path: location.pathname,
        query,
        tenant: this.tenants.of(name, tenant ?? query.get("tenant")),
        id,
      };
    }
    return { name: "", path: location.pathname, query, tenant: this.tenants.names[0] };
  }

  #open(place) {
    this.view?.close();
    const kind = VIEWS.find(([name]) => name === place.name)?.[2];
    this.view = kind ? new kind(this) : null;
    this.banner = null;
    main.replaceChildren(...(this.view ? [this.view.root] : []));
    scrollTo(0, 0);
    if (
      document.activeElement &&
      document.activeElement !== document.body &&
      !document.activeElement.isConnected
    )
      main.focus({ preventScroll: true });
    for (const one of document.querySelectorAll("nav [data-view]")) {
      if (one.dataset.view === place.name) one.setAttribute("aria-current", "page");
      else one.removeAttribute("aria-current");
    }
    this.truth.forget();
    this.tenants.offer(place.tenant);
    if (!document.hidden) this.live.follow(place.tenant ?? null);
  }

  async #failed(problem) {
    if (problem.status === 401 && !this.declined) return this.#giveToken(problem.detail);
    if (!(problem instanceof Problem)) console.error(problem);
    this.#wrong(
      problem instanceof Problem
        ? problem
        : new Problem(0, "A defect of this page", String(problem?.message ?? problem)),
    );
    document.body.dataset.ready = "problem";
  }

  #wrong(problem) {
    this.banner?.remove();
    this.banner = null;
    if (!problem) return;
    this.banner = trouble(problem, () => (this.view ? this.#retry() : this.#again()));
    if (this.shown && this.view?.root.querySelector(".line, .facts"))
      this.banner.prepend(
        h("p", { class: "hint" }, `What is below was so at ${clock(this.shown * 1000)}.`),
      );
    // What is still being loaded never comes.
    for (const one of main.querySelectorAll(".loading")) one.remove();
    main.prepend(this.banner);
  }

  async #giveToken(why) {
    if (this.asking) return;
    this.asking = true;
    const refused = token();
    const given = await askToken(why).finally(() => (this.asking = false));
    if (given === null) {
      // Another address in this tab has brought one meanwhile, which is not the one that was
      // refused.
      if (token() !== refused) return;
      this.declined = true;
      // A wrong token would be rejected even where none is needed.
      setToken(null);
      this.#wrong(new Problem(401, refused ? "This token is wrong" : "A token is needed", why));
      document.body.dataset.ready = "problem";
      return;
    }
    setToken(given);
    this.live.stop();
    await this.#meet();
    if (this.view) {
      this.view.close();
      this.view = null;
      await this.arrive();
    }
  }

  #changed(changes, more = true) {
    if (!this.place || !this.view || document.hidden) return;
    const kinds = changes === null ? null : new Set(changes.map((one) => one.kind));
    this.pending =
      this.pending === null || kinds === null ? null : new Set([...(this.pending ?? []), ...kinds]);
    this.#schedule(Math.max(50, MIN_INTERVAL_MS - (performance.now() - this.lastShow)));
    if (!more) return;
    // The store may lag behind the reported change: everything that changed is requested once more.
    this.late =
      this.late === null || kinds === null ? null : new Set([...(this.late ?? []), ...kinds]);
    this.changedAt = performance.now();
    this.again ||= setTimeout(() => this.#onceMore(), ONCE_MORE_MS);
  }

  #onceMore() {
    const { late } = this;
    const since = performance.now() - this.changedAt;
    // A change that was reported a moment ago gets a turn of its own.
    const isLast = since > ONCE_MORE_MS - 50;
    this.again = isLast ? 0 : setTimeout(() => this.#onceMore(), ONCE_MORE_MS - since);
    if (isLast) this.late = undefined;
    this.#changed(late === null ? null : [...late].map((kind) => ({ kind })), false);
  }

  #schedule(ms) {
    if (this.timer || this.busy) return;
    this.timer = setTimeout(() => {
      this.timer = 0;
      const kinds = this.pending;
      this.pending = undefined;
      if (kinds !== undefined && !this.asking) this.show(kinds);
    }, ms);
  }

  #state(state) {
    this.truth.link = state;
    this.truth.judge();
    // Nothing reports changes now, so the slow rounds request everything.
    if (state !== "live") this.#changed(null, false);
  }

  #seen() {
    if (document.hidden) {
      this.live.stop();
      clearTimeout(this.timer);
      clearTimeout(this.again);
      this.timer = this.again = 0;
      this.truth.paused = true;
      this.truth.judge();
    } else if (this.place) {
      this.truth.paused = false;
      this.live.follow(this.place.tenant ?? null);
      tick();
      this.#changed(null);
    }
  }
}

const page = new Page();
document.getElementById("theme").addEventListener("click", toggleTheme);
document.getElementById("keys").addEventListener("click", showKeys);
listen({
  "g n": () => page.go(page.to("/")),
  "g e": () => page.go(page.to("/explore")),
  "g p": () => page.go(page.to("/pipeline")),
  "/": () => page.view?.focusFilter?.(),
  r: () => page.arrive(),
  t: toggleTheme,
  "?": () => isOpen() || showKeys(),
});
page.start();
