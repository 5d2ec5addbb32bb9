// Questions and answers by GraphQL. The key is a header, never part of an address.

export const ENDPOINT = "/graphql";
const KEY = "relata:key";
// Who asks for longer hears no more of it: a line that was cut without a word would keep a panel waiting for good.
const LONGEST = 60_000;
// Ends when another key is opened, or none is left: nothing that was asked with one key is ever shown with another.
let opened = new AbortController();
function leave() {
  opened.abort();
  opened = new AbortController();
}

/** A request that was refused for its key. */
export class Unauthenticated extends Error {}

/** What the API says is wrong; `code` is stable. */
export class Told extends Error {
  constructor(errors) {
    super(errors[0]?.message ?? "Something went wrong.");
    this.code = errors[0]?.extensions?.code ?? "UNKNOWN";
  }
}

export const keys = {
  get: () => sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY),
  remembered: () => localStorage.getItem(KEY) !== null,
  /** Keep it in this tab, or on this device. */
  keep(key, remember) {
    leave();
    sessionStorage.setItem(KEY, key);
    if (remember) localStorage.setItem(KEY, key);
    else localStorage.removeItem(KEY);
  },
  forget() {
    leave();
    sessionStorage.removeItem(KEY);
    localStorage.removeItem(KEY);
  },
};

/**
 * Turns of somebody who asks one thing after the other: `const mine = turn()` takes one, and `mine()` tells whether it is
 * still the latest, and of the key that the page is open with. Answers may come in another order than they were asked for.
 */
export function turns() {
  let latest = 0;
  return () => {
    const turn = ++latest;
    const { signal } = opened;
    return () => turn === latest && !signal.aborted;
  };
}

/** What went wrong, for people. */
export const why = (problem) => (problem instanceof Told || problem instanceof Unauthenticated ? problem.message : "The server does not answer.");

const refused = new Set();
/** Hear of it when a key that was good is good no longer. */
export const onRefused = (hear) => refused.add(hear);
export function refuse() {
  for (const hear of refused) hear();
}

/** An answer of this server. Raises what `fetch` raises, also where the key has changed meanwhile. */
async function reach(path, key, more = {}) {
  const { headers, ...rest } = more;
  const signal = AbortSignal.any([opened.signal, AbortSignal.timeout(LONGEST)]);
  return fetch(path, { ...rest, signal, headers: { ...headers, Authorization: `Bearer ${key}` } });
}

/** A file of the account. */
export async function file(path) {
  const answer = await reach(path, keys.get());
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.blob();
}

/** The data of a query or a mutation. Raises `Unauthenticated`, `Told`, and what `fetch` raises. */
export async function ask(query, variables = {}, key = keys.get() ?? "") {
  // What no header takes is no key: typographic quotes around one, say. The server need not be asked.
  if (!/^[\x21-\x7e]+$/.test(key)) throw new Unauthenticated("This is no key.");
  const { signal } = opened;
  const response = await reach(ENDPOINT, key, {
    method: "POST",
    headers: {
      Accept: "application/graphql-response+json, application/json;q=0.9",
      "Content-Type": "application/json",
    },
    body: JSON.stringify({ query, variables }),
  });
  const told = await response.json();
  signal.throwIfAborted();
  if (response.status === 401) {
    if (key === keys.get()) refuse();
    throw new Unauthenticated(told.errors[0].message);
  }
  if (told.errors) throw new Told(told.errors);
  return told.data;
}

/** The answers of several questions; a part that this key may not see is null, and `missing` names its scope. */
export async function askIfAllowed(query, variables) {
  try {
    return { data: await ask(query, variables), missing: null };
  } catch (problem) {
    if (problem instanceof Told && problem.code === "MISSING_SCOPE") {
      return { data: null, missing: problem.message };
    }
    throw problem;
  }
}
