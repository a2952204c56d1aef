"""Wait for the tasks that mutations start."""
