"""``aprp init``: a configuration to begin with."""
