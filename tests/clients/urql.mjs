// urql: GET and POST with every media type that it offers, and subscriptions over server-sent events.
import assert from "node:assert/strict";
import { Client, cacheExchange, fetchExchange } from "@urql/core";
import { INVALID, PARTIAL, WATCH, authorization, readsWritesAndWatches, url } from "./story.mjs";

for (const preferGetMethod of [false, "force"]) {
  const client = new Client({
    url,
    exchanges: [cacheExchange, fetchExchange],
    fetchSubscriptions: true,
    preferGetMethod,
    requestPolicy: "network-only",
    fetchOptions: { headers: { authorization } },
  });
  await readsWritesAndWatches({
    async ask(document, variables) {
      const run = document.startsWith("mutation") ? client.mutation(document, variables) : client.query(document, variables);
      const { data, error } = await run.toPromise();
      assert.equal(error, undefined);
      return data;
    },
    watch(after, told) {
      const { unsubscribe } = client.subscription(WATCH, { after }).subscribe(({ data, error }) => {
        assert.equal(error, undefined);
        told(data.enrollmentEvents);
      });
      return unsubscribe;
    },
  });

  const partial = await client.query(PARTIAL).toPromise();
  assert.equal(partial.data.account.name, "demo");
  assert.equal(partial.error.graphQLErrors[0].extensions.code, "UNKNOWN_OBJECT_TYPE");
  assert.equal(partial.error.networkError, undefined);

  const invalid = await client.query(INVALID).toPromise();
  assert.equal(invalid.error.graphQLErrors.length, 1);
  assert.equal(invalid.error.networkError, undefined);
}
console.log("ok");
