"""``python -m tests.simulation``: run seeds, or replay one; what fails is shrunk and printed."""

from __future__ import annotations

import sys

from tests.simulation.command import main

sys.exit(main(sys.argv[1:]))
