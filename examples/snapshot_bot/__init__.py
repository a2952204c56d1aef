"""A bot that takes one snapshot of every VM per night, even if it is interrupted.

    python -m examples.snapshot_bot

backs up a simulated CloudTower, or a real one if ``CLOUDTOWER_ENDPOINT`` and so on are set.
"""
