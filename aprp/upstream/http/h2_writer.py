"""What a connection of HTTP/2 sends: the library's frames, and those written past it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from h2.config import H2Configuration
from h2.connection import AllowedStreamIDs, H2Connection
from h2.exceptions import NoSuchStreamError
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream

from aprp.core.http.fields import Pairs
from aprp.core.http2 import writing
from aprp.upstream.splice.borrowed import DirectWriter


class _Library(H2Connection):
    """Leaves Content-Length to us: bodies don't pass through the library, and a wrong one ends its
    stream, not the connection (RFC 9113 section 8.1.1)."""

    def _begin_new_stream(self, stream_id: int, allowed_ids: AllowedStreamIDs) -> H2Stream:
        stream = super()._begin_new_stream(stream_id, allowed_ids)
        stream._initialize_content_length = lambda headers: None  # type: ignore[method-assign]
        return stream


def library(client: bool, max_frame: int, max_fields: int, most_fields: int) -> H2Connection:
    """Return our side of a connection, with what we allow the other: bytes of a frame, and of the
    fields of a message. Fields that unfold to more than `most_fields` end the connection.

    Bodies, windows and the number of streams are handled by us.
    """
    config = H2Configuration(
        client_side=client,
        validate_inbound_headers=False,
        normalize_inbound_headers=False,
        validate_outbound_headers=client,
    )
    made = _Library(config)
    allowed = {
        SettingCodes.MAX_FRAME_SIZE: max_frame,
        SettingCodes.MAX_HEADER_LIST_SIZE: max_fields,
    }
    if client:
        allowed[SettingCodes.ENABLE_PUSH] = 0
    made.local_settings = Settings(client=client, initial_values=allowed)
    made.max_inbound_frame_size = max_frame
    made.decoder.max_header_list_size = most_fields
    return made


class Writer:
    """Sends frames in the order of the calls."""

    def __init__(self, h2: H2Connection, transport: Any) -> None:
        self._h2 = h2
        self._transport = transport
        self._direct = DirectWriter(transport)
        self._closed = False

    def close(self) -> None:
        """The connection is lost: nothing more is sent."""
        self._closed = True

    def write(self, frames: bytes) -> None:
        """Send frames that the library doesn't know of."""
        if not self._closed:
            self._transport.write(frames)

    def write_pieces(self, pieces: Sequence[bytes | memoryview], direct: bool) -> None:
        """Send frames that are in pieces: `direct`, at once and without a copy, if that can be."""
        if self._closed:
            return
        if direct:
            self._direct.write_pieces(pieces)
        else:
            self._transport.write(b"".join(pieces))

    def flush(self) -> None:
        """Send what the library has to send."""
        data = self._h2.data_to_send()
        if data:
            self.write(data)

    def head(self, stream: int, pairs: Pairs, ends: bool) -> None:
        """Send a block of fields."""
        self._h2.send_headers(stream, pairs, end_stream=ends)
        self.flush()

    def reset(self, stream: int, code: int) -> None:
        """End a stream at once."""
        with suppress(NoSuchStreamError):  # both sides have ended it already
            self._h2.reset_stream(stream, code)
        self.flush()

    def open_windows(self, counts: Mapping[int, int]) -> None:
        """Let the other side send so many bytes more on each stream."""
        if counts:
            self.write(b"".join(writing.window_update(*each) for each in counts.items()))

    def open_window(self, stream: int, count: int) -> None:
        """Let the other side send so many bytes more; stream 0 is the connection."""
        self.write(writing.window_update(stream, count))

    def ping(self, payload: bytes) -> None:
        """Send a PING, 8 bytes."""
        self._h2.ping(payload)
        self.flush()

    def go_away(self, last: int, code: int, text: str = "") -> None:
        """Send the GOAWAY after which streams above `last` aren't handled."""
        self.flush()
        self.write(writing.go_away(last, code, text))
