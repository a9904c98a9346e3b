// Requests to the API. The token is kept for this tab only, and never in an address.

const TOKEN = "sentinel.token";

/** An error of a request: `status` is 0 without an answer. `detail` is for people. */
export class Problem extends Error {
  constructor(status, title, detail) {
    super(detail);
    this.status = status;
    this.title = title;
    this.detail = detail;
  }
}

/**
 * Moves the token out of the address (#token=…), where messages and the terminal put it, so that it
 * is not shared with the address. Returns whether there was one.
 */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given === null) return false;
  setToken(given);
  history.replaceState(history.state, "", location.pathname + location.search);
  return true;
}

export function token() {
  return sessionStorage.getItem(TOKEN);
}

export function setToken(given) {
  if (given) sessionStorage.setItem(TOKEN, given);
  else sessionStorage.removeItem(TOKEN);
}

/**
 * A path with a query. Null, empty texts and empty lists are omitted; a list gives its name several
 * times.
 */
export function address(path, query = {}) {
  const made = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value].flat())
      if (one !== null && one !== undefined && one !== "") made.append(name, one);
  }
  const text = made.toString();
  return text ? `${path}?${text}` : path;
}

/** A decoded part of a path; unchanged if it is not percent-encoded UTF-8. */
export function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The answer's JSON. Raises Problem, and AbortError when the signal says so. */
export async function ask(path, query, signal, options = {}) {
  const headers = { Accept: "application/json" };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  if (options.body) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(address(`/api/v1${path}`, { ...query, times: "us" }), {
      method: options.method ?? "GET",
      body: options.body ? JSON.stringify(options.body) : undefined,
      headers,
      signal,
      cache: "no-store",
      credentials: "omit",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (error.name === "TimeoutError")
      throw new Problem(
        0,
        "No answer in time",
        "Sentinel's API takes too long. The page retries by itself.",
      );
    throw new Problem(
      0,
      "No answer",
      "Sentinel's API does not answer. Is it running, and is the network there?",
    );
  }
  const body = await answer.json().catch(() => null);
  if (!answer.ok) {
    throw new Problem(
      answer.status,
      body?.title ?? `HTTP ${answer.status}`,
      body?.detail ?? "The answer says nothing more.",
    );
  }
  return body;
}
