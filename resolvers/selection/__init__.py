"""From what a client wrote to a selection: GraphQL's syntax ends here, SQL begins a floor below."""
