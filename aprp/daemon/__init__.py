"""The daemon's life: starting, listening, logging, stopping."""
