"""What takes more than one call."""
