"""Examples for many CloudTowers: a common dashboard, and a job for workers on many machines.

    python -m examples.fleet

This command shows a dozen simulated CloudTowers. To show real CloudTowers, pass names of profiles.
`examples.fleet.snapshots` is a job for workers, described in docs/fleet.md.
"""
