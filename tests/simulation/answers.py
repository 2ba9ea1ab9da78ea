"""Answers as a careful client reads them off a connection, and how each of them ended."""

from __future__ import annotations

from dataclasses import dataclass, field


class Malformed(Exception):
    """The daemon sent what isn't an answer."""


@dataclass
class Answer:
    """`ended`: "whole" as framed, "cut" visibly, "left" by the client, "" while it's under way."""

    method: str
    status: int = 0
    minor: int = 1
    fields: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0
    framing: str = ""
    ended: str = ""
    how: str = ""
    """fin or reset, where the connection's end was that of the answer."""
    began: float = 0.0
    headed: float = 0.0
    """When its head was read; 0: it wasn't."""
    over: float = 0.0
    last: float = 0.0
    """When its last byte came."""

    @property
    def body(self) -> bytes:
        if len(self.pieces) > 1:
            self.pieces = [b"".join(self.pieces)]
        return self.pieces[0] if self.pieces else b""


class Reader:
    """Takes bytes and gives events: the answer that is being read is `answer`."""

    def __init__(self) -> None:
        self._held = b""
        self._left: int | None = 0
        self._state = "head"
        self.answer: Answer | None = None

    @property
    def begun(self) -> bool:
        """Whether something of an answer came."""
        return bool(self._held) or self._state != "head"

    @property
    def stray(self) -> bytes:
        return self._held

    def expect(self, answer: Answer) -> None:
        """The next answer is this one's."""
        assert self.answer is None
        self.answer, self._state = answer, "head"

    def feed(self, data: bytes) -> bool:
        """Whether the answer is whole now; what follows it is held."""
        self._held += data
        while self.answer is not None:
            if self._state == "head" and not self._head(self.answer):
                return False
            if self._state == "size" and not self._size(self.answer):
                return False
            if self._state == "body" and not self._body(self.answer):
                return False
            if self._state == "trailer" and not self._trailer():
                return False
            if self._state == "done":
                self.answer.ended = "whole"
                self.answer, self._state = None, "head"
                return True
        return False

    def end(self, how: str) -> None:
        """The connection ended: by fin or reset."""
        answer = self.answer
        if answer is None or answer.ended:
            return
        answer.how = how
        by_close = self._state == "body" and answer.framing == "close"
        answer.ended = "whole" if by_close and how == "fin" else "cut"
        self.answer = None

    def _head(self, answer: Answer) -> bool:
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            return False
        line, *lines = self._held[:end].decode("latin-1").split("\r\n")
        self._held = self._held[end + 4 :]
        parts = line.split(" ", 2)
        if len(parts) != 3 or not parts[0].startswith("HTTP/1."):
            raise Malformed(f"the status line {line!r}")
        status = int(parts[1])
        if status < 200:
            return bool(self._held) and self._head(answer)
        answer.status = status
        for each in lines:
            name, _, value = each.partition(":")
            if name.lower() in answer.fields and name.lower() in ("content-length", "etag"):
                raise Malformed(f"{name} twice")
            answer.fields[name.lower()] = value.strip()
        self._frame(answer)
        return True

    def _frame(self, answer: Answer) -> None:
        fields = answer.fields
        if answer.method == "HEAD" or answer.status in (204, 304):
            answer.framing, self._state = "none", "done"
        elif fields.get("transfer-encoding") == "chunked":
            answer.framing, self._state = "chunked", "size"
        elif "content-length" in fields:
            self._left = int(fields["content-length"])
            answer.framing = "length"
            self._state = "body" if self._left else "done"
        else:
            answer.framing, self._left, self._state = "close", None, "body"

    def _size(self, answer: Answer) -> bool:
        end = self._held.find(b"\r\n")
        if end < 0:
            return False
        try:
            self._left = int(self._held[:end], 16)
        except ValueError:
            raise Malformed(f"the chunk size {self._held[:end]!r}") from None
        self._held = self._held[end + 2 :]
        self._state = "body" if self._left else "trailer"
        return True

    def _body(self, answer: Answer) -> bool:
        data = self._held if self._left is None else self._held[: self._left]
        if data:
            answer.pieces.append(data)
            answer.size += len(data)
            self._held = self._held[len(data) :]
        if self._left is None:
            return False
        self._left -= len(data)
        if self._left:
            return False
        if answer.framing == "length":
            self._state = "done"
            return True
        if len(self._held) < 2:
            self._left = 0
            return False
        if self._held[:2] != b"\r\n":
            raise Malformed("a chunk without its end")
        self._held, self._state = self._held[2:], "size"
        return True

    def _trailer(self) -> bool:
        if len(self._held) < 2:
            return False
        self._held, self._state = self._held[2:], "done"
        return True
