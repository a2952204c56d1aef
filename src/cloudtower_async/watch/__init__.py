"""Follow changes of resources: the change feed, and live views of resources."""
