"""Idempotent recipes: each ensures a state, and is safe to run again."""
