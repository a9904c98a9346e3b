// What changed, as soon as it is stored. Calls `changed` with what the server names, or with null
// when anything may have.

import { address, token } from "./api.js";

const FIRST_MS = 500;
const MAX_MS = 30_000;
/**
 * The server says something at least every 30 s; of a connection that is gone a browser may hear
 * nothing.
 */
const SILENCE_MS = 75_000;

export class Live {
  /** `state(name)` is called with "live" and "reconnecting". */
  constructor(changed, state) {
    this.changed = changed;
    this.state = state;
    this.tenant = undefined;
    this.socket = null;
    this.timer = 0;
    this.failures = 0;
    this.silent = 0;
  }

  /** Follows a tenant, or all of them (null); once more is fine. */
  follow(tenant) {
    if (this.tenant === tenant && (this.socket || this.timer)) return;
    this.stop();
    this.tenant = tenant;
    this.failures = 0;
    this.#connect();
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = 0;
    clearTimeout(this.silent);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  #heard() {
    clearTimeout(this.silent);
    this.silent = setTimeout(() => {
      this.stop();
      this.#later();
    }, SILENCE_MS);
  }

  #connect() {
    this.timer = 0;
    const kinds = token() ? ["sentinel", `bearer.${token()}`] : ["sentinel"];
    let socket;
    try {
      socket = new WebSocket(address("/api/v1/live", { tenant: this.tenant }), kinds);
    } catch {
      // A token with signs that no subprotocol may have.
      this.#later();
      return;
    }
    this.socket = socket;
    const mine = (what) => (event) => this.socket === socket && what(event);
    socket.onopen = mine(() => {
      // Changes during a lost connection are not sent again.
      const missed = this.failures > 0;
      this.failures = 0;
      this.#heard();
      this.state("live");
      if (missed) this.changed(null);
    });
    socket.onmessage = mine((event) => {
      this.#heard();
      const message = read(event.data);
      if (message?.resync) this.changed(null);
      else if (message?.changes) this.changed(message.changes);
    });
    socket.onclose = mine(() => {
      this.stop();
      this.#later();
    });
  }

  #later() {
    this.state("reconnecting");
    const delay = Math.min(MAX_MS, FIRST_MS * 2 ** this.failures);
    this.failures = Math.min(this.failures + 1, 16);
    this.timer = setTimeout(() => this.#connect(), delay / 2 + (Math.random() * delay) / 2);
  }
}

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
