"""Stored files: data and index on disk, and the threads that wait for it."""
