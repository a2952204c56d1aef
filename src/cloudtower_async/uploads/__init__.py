"""Upload files in chunks and resume interrupted uploads."""
