"""Generator of the simulated fleet."""
