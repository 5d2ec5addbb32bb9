// Apollo Client: HTTP, subscriptions over graphql-ws, and each of its error policies.
import assert from "node:assert/strict";
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { CombinedGraphQLErrors } from "@apollo/client/errors";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { INVALID, PARTIAL, WATCH, authorization, readsWritesAndWatches, url } from "./story.mjs";

const sockets = createClient({
  url: url.replace("http", "ws"),
  webSocketImpl: WebSocket,
  connectionParams: { authorization },
});
const client = new ApolloClient({
  cache: new InMemoryCache(),
  link: ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(sockets),
    new HttpLink({ uri: url, headers: { authorization } }),
  ),
});

function plain(value) {
  return JSON.parse(JSON.stringify(value, (name, inner) => (name === "__typename" ? undefined : inner)));
}

await readsWritesAndWatches({
  async ask(document, variables) {
    const mutates = document.startsWith("mutation");
    const { data } = mutates
      ? await client.mutate({ mutation: gql(document), variables })
      : await client.query({ query: gql(document), variables, fetchPolicy: "network-only" });
    return plain(data);
  },
  watch(after, told) {
    const subscription = client.subscribe({ query: gql(WATCH), variables: { after } }).subscribe({
      next: ({ data }) => told(plain(data.enrollmentEvents)),
      error: (error) => assert.fail(error),
    });
    return () => subscription.unsubscribe();
  },
});

const partial = { query: gql(PARTIAL), fetchPolicy: "no-cache" };
await assert.rejects(client.query({ ...partial, errorPolicy: "none" }), (error) => {
  assert.ok(CombinedGraphQLErrors.is(error));
  assert.equal(error.errors[0].extensions.code, "UNKNOWN_OBJECT_TYPE");
  return true;
});
const all = await client.query({ ...partial, errorPolicy: "all" });
assert.equal(all.data.account.name, "demo");
assert.deepEqual(all.error.errors[0].path, ["objectType"]);
const ignored = await client.query({ ...partial, errorPolicy: "ignore" });
assert.equal(ignored.data.objectType, null);
assert.equal(ignored.error, undefined);

// What is not valid never ran; the errors are GraphQL's own, not a network's.
await assert.rejects(client.query({ query: gql(INVALID), fetchPolicy: "no-cache" }), (error) =>
  CombinedGraphQLErrors.is(error),
);
await sockets.dispose();
console.log("ok");
