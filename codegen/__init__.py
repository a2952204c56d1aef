"""Turns a CloudTower API schema into the `api`, `models` and `inputs` packages."""
