"""What mutations do."""
