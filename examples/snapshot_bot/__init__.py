"""Bot that takes one snapshot of every VM per night, even if the bot is interrupted.

    python -m examples.snapshot_bot

This command backs up a simulated CloudTower. If ``CLOUDTOWER_ENDPOINT`` and the credentials are
set, it backs up a real CloudTower.
"""
