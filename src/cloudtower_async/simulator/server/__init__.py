"""HTTP server: it parses requests, finds their handlers and sends the responses."""
