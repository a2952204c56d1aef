"""The generated fleet."""
