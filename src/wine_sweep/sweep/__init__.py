"""Run a sweep from its config to the registry, resume it, refresh it, reproduce its trials."""
