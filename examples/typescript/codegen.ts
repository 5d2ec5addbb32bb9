import type { CodegenConfig } from "@graphql-codegen/cli";

const config: CodegenConfig = {
  // Or the address of a running Relata, with a header: docs/api.md.
  schema: "../../schema.graphql",
  documents: ["src/**/*.ts"],
  emitLegacyCommonJSImports: false,
  importExtension: ".js",
  generates: {
    "./generated/": {
      preset: "client",
      // Operations are plain texts with types: no GraphQL library is needed where they run.
      config: {
        documentMode: "string",
        // Only what the operations use. Our type Record would otherwise stand in the way of TypeScript's own.
        onlyOperationTypes: true,
        useTypeImports: true,
        enumsAsTypes: true,
        scalars: { JSON: "unknown", DateTime: "string" },
      },
      presetConfig: { fragmentMasking: false },
    },
  },
};

export default config;
