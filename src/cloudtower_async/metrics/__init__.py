"""Read metrics: requests and results."""
