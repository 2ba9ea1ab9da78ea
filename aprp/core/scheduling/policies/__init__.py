"""The delay and duplicate request policies, one a file."""
