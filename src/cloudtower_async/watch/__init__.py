"""Follow changes: the change feed, live views of resources, and what changes affect them."""
