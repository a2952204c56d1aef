"""Generates the `api`, `models` and `inputs` packages from a CloudTower API schema."""
