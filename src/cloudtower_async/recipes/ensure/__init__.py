"""Idempotent recipes: each makes sure that something is so, and is safe to run again."""
