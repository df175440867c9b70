"""Tests with real parts."""
