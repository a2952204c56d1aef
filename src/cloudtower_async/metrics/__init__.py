"""Requests for metrics, and their results."""
