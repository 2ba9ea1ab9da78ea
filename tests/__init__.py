"""Tests: run with trial."""
