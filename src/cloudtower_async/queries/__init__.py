"""Reading resources with several requests."""
