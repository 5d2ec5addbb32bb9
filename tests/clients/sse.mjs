// graphql-sse, distinct connections mode: each operation is a stream of its own.
import assert from "node:assert/strict";
import { createClient } from "graphql-sse";
import { INVALID, PARTIAL, WATCH, authorization, readsWritesAndWatches, url } from "./story.mjs";

const client = createClient({ url, headers: { authorization }, retryAttempts: 0 });

async function ask(query, variables) {
  for await (const answer of client.iterate({ query, variables })) {
    return answer;
  }
  return undefined;
}

await readsWritesAndWatches({
  async ask(document, variables) {
    const answer = await ask(document, variables);
    assert.equal(answer.errors, undefined);
    return answer.data;
  },
  watch(after, told) {
    return client.subscribe(
      { query: WATCH, variables: { after } },
      { next: ({ data }) => told(data.enrollmentEvents), error: (error) => assert.fail(error), complete() {} },
    );
  },
});

// Refusals before anything runs are events of an accepted stream, as the protocol asks.
for (const query of ["{", INVALID, "{ account { name } } { account { name } }"]) {
  const refused = await ask(query);
  assert.ok(refused.errors[0].message);
  assert.equal(refused.data, undefined);
}
const partial = await ask(PARTIAL);
assert.equal(partial.data.account.name, "demo");
assert.equal(partial.errors[0].extensions.code, "UNKNOWN_OBJECT_TYPE");

const stranger = createClient({ url, headers: { authorization: "Bearer nobody" }, retryAttempts: 0 });
await assert.rejects(stranger.iterate({ query: WATCH }).next(), (error) => error.response?.status === 401);
console.log("ok");
