// PostGraphile as its documentation recommends it, over views on the same JSONB data: the Amber preset and the
// connection-filter plugin, Node's own HTTP server, NODE_ENV=production. It checks no key and no limits, and opens no
// transaction: one that tells PostgreSQL who asks would cost it two round trips more.
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { PostGraphileConnectionFilterPreset } from "postgraphile-plugin-connection-filter";
import { makePgService } from "postgraphile/adaptors/pg";

export default {
  extends: [PostGraphileAmberPreset, PostGraphileConnectionFilterPreset],
  pgServices: [
    makePgService({
      connectionString: process.env.BENCH_DATABASE_URL,
      schemas: ["peer"],
      // As many as the others have.
      poolConfig: { max: Number(process.env.BENCH_POOL) },
    }),
  ],
  grafserv: { host: "127.0.0.1", port: Number(process.env.BENCH_PORT), graphqlPath: "/graphql", watch: false },
  grafast: { explain: false },
  schema: { connectionFilterRelations: true },
};
