"""The made-up fleet."""
