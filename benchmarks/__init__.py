"""Measurements beside other programs, on the same work in the same run."""
