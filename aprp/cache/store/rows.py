"""What queries of the index have in common."""

from __future__ import annotations

import sqlite3


class Rows:
    """Rows of the index, which is open."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def _numbers(self, query: str, *values: object) -> list[int]:
        """Return the first column of all rows."""
        return [number for (number,) in self.connection.execute(query, values).fetchall()]

    def _one(self, query: str, *values: object) -> int:
        """Return the first column of the first row."""
        found: int = self.connection.execute(query, values).fetchone()[0]
        return found

    def _next(self) -> int:
        """Return a number above all that were returned before."""
        return self._one(
            "UPDATE counters SET value = value + 1 WHERE name = 'position' RETURNING value"
        )
