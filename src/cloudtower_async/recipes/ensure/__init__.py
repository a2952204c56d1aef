"""Recipes that create or change a resource only if needed, so they are safe to run again."""
