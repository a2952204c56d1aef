"""A bot that takes a snapshot of every VM, once a night, whatever happens to it meanwhile.

    python -m examples.snapshot_bot

backs up a simulated CloudTower; with ``CLOUDTOWER_ENDPOINT`` and the other variables, a real one.
"""
