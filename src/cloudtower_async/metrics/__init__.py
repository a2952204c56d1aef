"""Read metrics: what to ask for, and the results."""
