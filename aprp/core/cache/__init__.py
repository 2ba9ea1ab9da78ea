"""What the cache decides, as pure functions and values: no clock, no disk, no bytes of bodies."""
