"""Measurements that print figures. `benchmarks.chaos` and `benchmarks.fuzz` are also checks."""
