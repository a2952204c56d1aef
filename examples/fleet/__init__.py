"""Many CloudTowers: one dashboard of all, and work spread over machines.

    python -m examples.fleet

shows a dozen simulated ones; with names of profiles, real ones. `examples.fleet.snapshots` gives
work to workers by way of Redis.
"""
