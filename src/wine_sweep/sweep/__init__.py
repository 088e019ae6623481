"""Brings a sweep from its config to the registry: preflight, loop, winner, promotion."""
