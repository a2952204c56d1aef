"""Follow changes: the change feed, live views of resources, and the changes that affect a view."""
