// Questions to the API. The token is kept for this tab only, and never in an address.

const TOKEN = "sentinel.token";

/** What went wrong: `status` 0 when nobody answered. `detail` is for people. */
export class Problem extends Error {
  constructor(status, title, detail) {
    super(detail);
    this.status = status;
    this.title = title;
    this.detail = detail;
  }
}

/**
 * Takes the token out of the address (#token=…), where messages and the terminal put it; whether
 * there was one.
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
 * Path with a query; what is null, empty or an empty list is left out, lists are given several
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

/** A part of a path as it was meant; one that is no percent-encoded UTF-8 as it stands. */
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
        "Sentinel's API takes too long. The page asks again by itself.",
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
