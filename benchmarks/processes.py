"""What a process and its children have used, from /proc (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path

TICK = 1.0 / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """The process and those it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in children for found in family(int(child)))]


def cpu_seconds(pid: int) -> float:
    """User and system time of the family, so far."""
    return sum(_cpu_of(each) for each in family(pid))


def _cpu_of(pid: int) -> float:
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) * TICK


def resident(pid: int) -> int:
    """Bytes of memory held now."""
    return _memory(pid, "VmRSS")


def peak_resident(pid: int) -> int:
    """The most bytes of memory held since the start."""
    return _memory(pid, "VmHWM")


def _memory(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
