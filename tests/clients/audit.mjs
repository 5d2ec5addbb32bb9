// All audits of GraphQL over HTTP by graphql-http, as one line of JSON each; fails unless every one is passed.
import { serverAudits } from "graphql-http";

const authorization = `Bearer ${process.env.RELATA_KEY}`;
const audits = serverAudits({
  url: process.env.RELATA_URL,
  fetchFn: (url, init = {}) => fetch(url, { ...init, headers: { ...init.headers, authorization } }),
});
let failed = 0;
for (const audit of audits) {
  const result = await audit.fn();
  failed += result.status !== "ok";
  console.log(JSON.stringify({ id: audit.id, name: audit.name, status: result.status, reason: result.reason }));
}
console.log(JSON.stringify({ passed: audits.length - failed, audits: audits.length }));
process.exit(failed ? 1 : 0);
