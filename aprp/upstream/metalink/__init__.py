"""Metalinks: parsed, fetched, verified, and kept while they are fresh."""
