// Questions and answers by GraphQL. The key is a header, never part of an address.

export const ENDPOINT = "/graphql";
const KEY = "relata:key";

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
    sessionStorage.setItem(KEY, key);
    if (remember) localStorage.setItem(KEY, key);
    else localStorage.removeItem(KEY);
  },
  forget() {
    sessionStorage.removeItem(KEY);
    localStorage.removeItem(KEY);
  },
};

const refused = new Set();
/** Hear of it when a key that was good is good no longer. */
export const onRefused = (hear) => refused.add(hear);
export function refuse() {
  for (const hear of refused) hear();
}

/** The data of a query or a mutation. Raises `Unauthenticated`, `Told`, and what `fetch` raises. */
export async function ask(query, variables = {}, key = keys.get()) {
  // What no header takes is no key: typographic quotes around one, say. The server need not be asked.
  if (!/^[\x21-\x7e]+$/.test(key)) throw new Unauthenticated("This is no key.");
  const response = await fetch(ENDPOINT, {
    method: "POST",
    headers: {
      Accept: "application/graphql-response+json, application/json;q=0.9",
      Authorization: `Bearer ${key}`,
      "Content-Type": "application/json",
    },
    body: JSON.stringify({ query, variables }),
  });
  const told = await response.json();
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
