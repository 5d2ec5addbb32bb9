"""What a field does: context, loaders, selections turned into plans, and use cases that own transactions."""
