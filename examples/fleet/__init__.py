"""Many CloudTowers: one dashboard of all, and work spread over machines.

    python -m examples.fleet

shows a dozen simulated ones; with names of profiles, real ones. `examples.fleet.snapshots` is
a job for workers: docs/fleet.md.
"""
