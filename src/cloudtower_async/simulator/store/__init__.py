"""What the simulated server knows, and how it is looked up."""
