"""Mutations whose effects follow from the schema: create, update, delete and simple actions."""
