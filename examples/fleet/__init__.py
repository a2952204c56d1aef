"""Many CloudTowers: one dashboard for all, and work that is spread over machines.

    python -m examples.fleet

shows a dozen simulated CloudTowers; pass names of profiles to show real ones.
`examples.fleet.snapshots` is a job for workers, described in docs/fleet.md.
"""
