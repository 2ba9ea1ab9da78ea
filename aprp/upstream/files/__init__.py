"""Directories on disk as sources."""
