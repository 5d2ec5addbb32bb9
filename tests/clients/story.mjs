// What every client is asked to do: read, be refused, watch, and resume where it broke off.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

export const url = process.env.RELATA_URL;
export const authorization = `Bearer ${process.env.RELATA_KEY}`;

export const COMPANY = `query Company {
  records(objectType: "companies", first: 1, where: {property: {name: "industry", operator: EQUALS, value: "software"}}) {
    nodes { id displayName associations(to: "contacts", first: 2) { edges { labels { name } node { id } } } }
  }
}`;

export const CREATE = `mutation Create($input: CreateRecordsInput!) {
  createRecords(input: $input) {
    results { record { id } userErrors { code path } }
    userErrors { code path }
  }
}`;

export const WATCH = `subscription Watch($after: String) {
  enrollmentEvents(after: $after) { cursor kind record { id } }
}`;

// One field has no answer: data and an error come together.
export const PARTIAL = `query Partial { account { name } objectType(name: "nothing") { name } }`;

export const INVALID = `query Invalid { account { nothing } }`;

export function hired(company) {
  return {
    input: {
      objectType: "contacts",
      records: [{ properties: { lastname: "Novak" }, associations: [{ toId: company, labels: ["decision_maker"] }] }],
    },
  };
}

export const REFUSED = { input: { objectType: "contacts", records: [{ properties: { nothing: "at all" } }] } };

/** `ask(document, variables)` answers with data and throws otherwise; `watch(after, told)` returns what ends it. */
export async function readsWritesAndWatches({ ask, watch }) {
  const [company] = (await ask(COMPANY)).records.nodes;
  assert.match(company.id, /^rec_\d+$/);
  assert.ok(company.associations.edges.length > 0);

  const refused = (await ask(CREATE, REFUSED)).createRecords;
  assert.equal(refused.results[0].record, null);
  assert.deepEqual(refused.results[0].userErrors[0].path, ["input", "records", 0, "properties", "nothing"]);

  const events = [];
  let end = watch(null, (event) => events.push(event));
  // A subscription begins at a moment that nobody tells; whoever is hired later is seen, among others.
  const people = new Set();
  await until(async () => {
    if (events.some(({ kind, record }) => kind === "ENROLLMENT_COMPLETED" && people.has(record.id))) return true;
    people.add((await ask(CREATE, hired(company.id))).createRecords.results[0].record.id);
    await sleep(1000);
    return false;
  });
  await end();
  const seen = events.slice();
  const { record: one } = seen.find(({ kind, record }) => kind === "ENROLLMENT_COMPLETED" && people.has(record.id));
  const kinds = seen.filter(({ record }) => record.id === one.id).map(({ kind }) => kind);
  // In order; the first one may have been under way when the stream began.
  assert.deepEqual(kinds, ["ENROLLED", "STEP_DONE", "ENROLLMENT_COMPLETED"].slice(-kinds.length));

  const again = [];
  end = watch(seen[0].cursor, (event) => again.push(event));
  await until(() => again.length >= seen.length - 1);
  await end();
  assert.deepEqual(again.slice(0, seen.length - 1), seen.slice(1));
}

export async function until(holds) {
  const deadline = Date.now() + 60_000;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, "it never came true");
    await sleep(20);
  }
}
