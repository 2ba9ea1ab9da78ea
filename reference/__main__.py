"""Write the manual pages and completions into the checkout."""

from __future__ import annotations

from pathlib import Path

from reference.completions import bash, fish, zsh
from reference.man import commands_page, daemon_page, settings_page
from reference.words import aprp

ROOT = Path(__file__).parent.parent


def files() -> dict[str, str]:
    """What is made, by its path in the checkout."""
    program = aprp()
    return {
        "docs/man/aprp.1": commands_page(program),
        "docs/man/aprp.8": daemon_page(program),
        "docs/man/aprp.yaml.5": settings_page(),
        "completions/aprp.bash": bash(program),
        "completions/_aprp": zsh(program),
        "completions/aprp.fish": fish(program),
    }


if __name__ == "__main__":
    for name, text in files().items():
        (ROOT / name).write_text(text)
