"""What clients see: GraphQL types, inputs, payloads and errors, one file a noun."""
