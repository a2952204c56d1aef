"""Mutations that change security policies, alert rules, settings and accounts."""
