"""Mutations of security policies, alert rules and accounts."""
