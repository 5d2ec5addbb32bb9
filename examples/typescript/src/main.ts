// Decision makers and their companies; then a new one, and the workflow events that follow.
// RELATA_URL and RELATA_KEY say where and who.
import { graphql } from "../generated/gql.js";
import { Relata } from "./relata.js";

const Deciders = graphql(`
  query Deciders($first: Int!) {
    records(
      objectType: "contacts"
      first: $first
      where: {associated: {to: "companies", labels: ["decision_maker"]}}
    ) {
      totalCount
      nodes {
        displayName
        associations(to: "companies") {
          edges { labels { label } node { id displayName } }
        }
      }
    }
  }
`);

const Hire = graphql(`
  mutation Hire($input: CreateRecordsInput!) {
    createRecords(input: $input) {
      results { record { id displayName } userErrors { code message path } }
      userErrors { code message path }
    }
  }
`);

const Watch = graphql(`
  subscription Watch($after: String) {
    enrollmentEvents(after: $after) { cursor kind record { id displayName } workflow { name } }
  }
`);

const relata = new Relata(process.env["RELATA_URL"] ?? "http://127.0.0.1:8000/graphql", process.env["RELATA_KEY"] ?? "");

const { records } = await relata.ask(Deciders, { first: 3 });
console.log(`${records.totalCount} contacts decide at companies`);
for (const contact of records.nodes) {
  for (const { labels, node } of contact.associations.edges) {
    console.log(`${contact.displayName}: ${labels.map((label) => label.label).join(", ")} at ${node.displayName}`);
  }
}

const company = records.nodes[0]?.associations.edges[0]?.node;
if (company && process.argv.includes("--hire")) {
  const { createRecords } = await relata.ask(Hire, {
    input: {
      objectType: "contacts",
      records: [
        {
          properties: { firstname: "Nora", lastname: "Novak" },
          associations: [{ toId: company.id, labels: ["decision_maker"] }],
        },
      ],
    },
  });
  for (const result of createRecords.results) {
    console.log(result.record ? `hired ${result.record.displayName}` : result.userErrors);
  }
}

if (process.argv.includes("--watch")) {
  for await (const { enrollmentEvents: event } of relata.watch(Watch, { after: process.env["AFTER"] ?? null })) {
    console.log(event.cursor, event.kind, event.record.displayName, event.workflow.name);
  }
}
