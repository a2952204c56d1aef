"""The HTTP server: parsing, routing and answering requests."""
