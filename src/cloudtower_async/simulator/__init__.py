"""A simulated CloudTower."""
