"""Imports point down only, and the pure floor stays pure."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "aprp"

FLOORS = (
    ("aprp.core.values",),
    ("aprp.core.reasons", "aprp.core.spans"),
    ("aprp.core.choices",),
    ("aprp.core.http",),
    ("aprp.core.http2",),
    ("aprp.core.metalink",),
    ("aprp.core.torrents",),
    ("aprp.core.recovery",),
    ("aprp.core.scheduling",),
    ("aprp.core.cache",),
    ("aprp.core.sharing",),
    ("aprp.core",),
    ("aprp.config", "aprp.simulator"),
    ("aprp.upstream.errors", "aprp.upstream.watchdog", "aprp.upstream.wall_clock"),
    ("aprp.upstream.tally",),
    ("aprp.upstream.exchange",),
    ("aprp.upstream.files",),
    ("aprp.upstream.splice",),
    ("aprp.upstream.http",),
    ("aprp.upstream.transfer",),
    ("aprp.upstream.metalink",),
    ("aprp.upstream",),
    ("aprp.cache.store",),
    ("aprp.cache",),
    ("aprp.web",),
    ("aprp.web.admin",),
    ("aprp.library", "aprp.demo"),
    ("aprp.get", "aprp.ctl", "aprp.init"),
    ("aprp.mirror",),
    ("aprp.daemon.descriptor",),
    ("aprp.daemon.log_sinks", "aprp.daemon.proxy_protocol"),
    (
        "aprp.daemon.certificates",
        "aprp.daemon.logging",
        "aprp.daemon.notify",
        "aprp.daemon.listening",
        "aprp.daemon.options",
    ),
    ("aprp.daemon",),
    ("aprp.cli", "aprp.__main__"),
)
"""From the ground up. A module belongs to the entry with its longest prefix."""


def floor_of(module: str) -> int | None:
    found = [
        (len(name), height)
        for height, names in enumerate(FLOORS)
        for name in names
        if module == name or module.startswith(name + ".")
    ]
    return max(found)[1] if found else None


def imports_of(path: Path) -> list[str]:
    """Every module that the file imports, at the top or inside a function."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the floor they point to"
            assert node.module is not None
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


class FloorTests(SynchronousTestCase):
    def test_every_module_has_a_floor(self) -> None:
        homeless = [
            module_name(path)
            for path in PACKAGE.rglob("*.py")
            if path != PACKAGE / "__init__.py" and floor_of(module_name(path)) is None
        ]
        self.assertEqual(homeless, [])

    def test_imports_point_down(self) -> None:
        upward = []
        for path in PACKAGE.rglob("*.py"):
            here = floor_of(module_name(path))
            if here is None:
                continue
            for name in imports_of(path):
                there = floor_of(name)
                if there is not None and there > here:
                    upward.append(f"{module_name(path)} imports {name}")
        self.assertEqual(upward, [])

    def test_core_imports_the_standard_library_only(self) -> None:
        foreign = [
            f"{module_name(path)} imports {name}"
            for path in (PACKAGE / "core").rglob("*.py")
            for name in imports_of(path)
            if not name.startswith("aprp.core")
            and name.split(".")[0] not in sys.stdlib_module_names
        ]
        self.assertEqual(foreign, [])

    def test_core_does_not_read_clocks_or_random_sources(self) -> None:
        impure = {"time", "random", "logging", "socket", "asyncio", "threading"}
        found = [
            f"{module_name(path)} imports {name}"
            for path in (PACKAGE / "core").rglob("*.py")
            for name in imports_of(path)
            if name.split(".")[0] in impure and name not in {"random.Random"}
        ]
        self.assertEqual(found, [])

    def test_importing_core_leaves_twisted_out(self) -> None:
        modules = [module_name(path) for path in (PACKAGE / "core").rglob("*.py")]
        program = (
            "import sys, importlib\n"
            f"for name in {modules!r}: importlib.import_module(name)\n"
            "print('twisted' in sys.modules)"
        )
        out = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        )
        self.assertEqual(out.stdout.strip(), "False")

    def test_what_the_scheduler_keeps_is_written_by_its_owner(self) -> None:
        """An object is changed by its own methods; the exceptions say which module owns what."""
        owners = {
            ("state.py", "attempt"),  # the offsets of attempts and of the pool change together
            ("failures.py", "source"),  # what SourceState says of failures
            ("failures.py", "other"),
        }
        written = [
            f"{path.name}:{node.lineno} writes {ast.unparse(node)}"
            for path in (PACKAGE / "core" / "scheduling").rglob("*.py")
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store | ast.Del)
            and ast.unparse(node.value) != "self"
            and (path.name, ast.unparse(node.value)) not in owners
        ]
        self.assertEqual(written, [])

    def test_policies_know_each_other_by_their_protocols_only(self) -> None:
        """But for what a policy is built on, and the registry, which makes them."""
        folder = PACKAGE / "core" / "scheduling" / "policies"
        bases = {"block_queue", "invalid_block_count", "off"}
        inward = [
            f"{path.stem} imports {name}"
            for path in folder.glob("*.py")
            if path.stem != "registry"
            for name in imports_of(path)
            if name.startswith("aprp.core.scheduling.policies.") and name.split(".")[4] not in bases
        ]
        self.assertEqual(inward, [])
        outward = [
            f"{module_name(path)} imports {name}"
            for path in PACKAGE.rglob("*.py")
            if path.parent != folder
            for name in imports_of(path)
            if name.startswith("aprp.core.scheduling.policies.")
            and name.split(".")[4] != "registry"
        ]
        self.assertEqual(outward, [])

    def test_the_plugin_folder_stays_a_namespace(self) -> None:
        self.assertEqual(list((ROOT / "twisted").rglob("__init__.py")), [])
