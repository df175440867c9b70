"""Measurements; they say how fast, the tests say that it works."""
