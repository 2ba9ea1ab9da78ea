"""The sample configuration: every setting, with a comment each. There is one copy of it.

In a checkout it is etc/aprp.yaml. The build puts that file beside this module.
"""

from __future__ import annotations

from pathlib import Path

BUILT = Path(__file__).with_name("sample.yaml")
CHECKOUT = Path(__file__).parents[2] / "etc" / "aprp.yaml"


def sample() -> str:
    """The text of the sample configuration."""
    return (BUILT if BUILT.exists() else CHECKOUT).read_text(encoding="utf-8")
