// graphql-ws: everything over one socket, where a bad operation ends nobody else's.
import assert from "node:assert/strict";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { COMPANY, INVALID, PARTIAL, WATCH, authorization, readsWritesAndWatches, url } from "./story.mjs";

const closed = [];
const client = createClient({
  url: url.replace("http", "ws"),
  webSocketImpl: WebSocket,
  connectionParams: { authorization },
  lazy: false,
  retryAttempts: 0,
  on: { closed: (event) => closed.push(event.code) },
});

async function ask(query, variables) {
  for await (const answer of client.iterate({ query, variables })) {
    return answer;
  }
  return undefined;
}

function watch(after, told) {
  return client.subscribe(
    { query: WATCH, variables: { after } },
    { next: ({ data }) => told(data.enrollmentEvents), error: (error) => assert.fail(JSON.stringify(error)), complete() {} },
  );
}

await readsWritesAndWatches({
  async ask(document, variables) {
    const answer = await ask(document, variables);
    assert.equal(answer.errors, undefined);
    return answer.data;
  },
  watch,
});

// While one listens, others are refused: for syntax, for validity, for two operations without a name.
const quiet = [];
const end = watch(null, (event) => quiet.push(event));
for (const query of ["{", INVALID, `${COMPANY} ${PARTIAL}`, "{ account { name } } { account { name } }"]) {
  await assert.rejects(ask(query), (errors) => {
    assert.ok(errors[0].message);
    return true;
  });
}
const partial = await ask(PARTIAL);
assert.equal(partial.data.account.name, "demo");
assert.equal(partial.errors[0].extensions.code, "UNKNOWN_OBJECT_TYPE");
end();
assert.deepEqual(closed, []);

const stranger = createClient({
  url: url.replace("http", "ws"),
  webSocketImpl: WebSocket,
  connectionParams: { authorization: "Bearer nobody" },
  retryAttempts: 0,
});
await assert.rejects(
  new Promise((resolve, reject) => stranger.subscribe({ query: WATCH }, { next: resolve, error: reject, complete: resolve })),
  (event) => event.code === 4403,
);
await client.dispose();
console.log("ok");
