"""Access log lines: their two formats, and that nothing a client sends can forge one."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.web.access_log import AccessLog, as_json, combined, escape
from aprp.web.access_record import AccessRecord
from tests.support.records import PLAIN

# Whatever bytes a client may send, as they look once decoded.
wild = st.text(st.characters(max_codepoint=0x2FFF, exclude_categories=())) | st.binary().map(
    lambda raw: raw.decode("utf-8", "surrogateescape")
)


class EscapeTests(SynchronousTestCase):
    def test_cases(self) -> None:
        for text, shown in (
            ("plain /path?q=1", "plain /path?q=1"),
            ("é中", "é中"),
            ('a"b', '\\"'.join("ab")),
            ("a\\b", "a\\\\b"),
            ("a\r\nb\t", "a\\x0d\\x0ab\\x09"),
            ("\x1b[31m\x7f\x85", "\\x1b[31m\\x7f\\x85"),
            (b"\xff\xc3".decode("utf-8", "surrogateescape"), "\\xff\\xc3"),
            ("\u2028\u202e", "\\u2028\\u202e"),
        ):
            self.assertEqual(escape(text), shown)


class CombinedTests(SynchronousTestCase):
    def test_whole_line(self) -> None:
        record = PLAIN._replace(referer="https://site.example/", user_agent="player/1")
        self.assertEqual(
            combined(record),
            '192.0.2.7 - - [31/Dec/2025:23:59:59 +0000] "GET /films/a.mp4 HTTP/1.1" 206 1000 '
            '"https://site.example/" "player/1" '
            '"bytes=0-999" 0.123 a.example:443 "complete" 0 0',
        )

    def test_what_is_missing_is_a_dash(self) -> None:
        record = PLAIN._replace(range=None, upstream=None, status=0, bytes_sent=0, ended="cut")
        self.assertTrue(combined(record).endswith(' 000 0 "-" "-" "-" 0.123 - "cut" 0 0'))

    def test_a_forged_line_stays_inside_its_field(self) -> None:
        forged = 'x" 200 5 "-" "-"\r\n10.0.0.1 - - [now] "GET /'
        line = combined(PLAIN._replace(user_agent=forged))
        self.assertNotIn("\n", line)
        self.assertIn('"x\\" 200 5 \\"-\\" \\"-\\"\\x0d\\x0a10.0.0.1 - - [now] \\"GET /"', line)

    @given(wild, wild, wild, wild)
    def test_any_text_leaves_one_line_of_ten_fields(
        self, target: str, agent: str, upstream: str, asked: str
    ) -> None:
        record = PLAIN._replace(target=target, user_agent=agent, upstream=upstream, range=asked)
        line = combined(record)
        self.assertTrue(line.isprintable())
        bare = line.replace("\\\\", "").replace('\\"', "")
        self.assertEqual(bare.count('"'), 10)
        seconds, shown_upstream = bare.split('"')[8].split()
        self.assertEqual((seconds, bool(shown_upstream)), ("0.123", True))


class JsonTests(SynchronousTestCase):
    def test_every_field_is_there(self) -> None:
        line = as_json(PLAIN)
        self.assertEqual(
            json.loads(line),
            {
                "time": "2025-12-31T23:59:59.250+00:00",
                "client": "192.0.2.7",
                "method": "GET",
                "target": "/films/a.mp4",
                "version": "HTTP/1.1",
                "status": 206,
                "bytes_sent": 1000,
                "bytes_received": 0,
                "seconds": 0.12345,
                "host": "proxy.example",
                "range": "bytes=0-999",
                "route": "/films/",
                "upstream": "a.example:443",
                "ended": "complete",
                "error": None,
                "resumes": 0,
                "referer": None,
                "user_agent": None,
                "duplicates": 0,
                "id": "-",
                "first_byte": None,
                "longest_gap": None,
                "sources": {},
                "spliced": 0,
                "cache": None,
                "cached": 0,
                "ending": "--",
            },
        )

    def test_what_several_sources_did(self) -> None:
        record = PLAIN._replace(
            id="a1b2c3-1f",
            first_byte=0.0123456789,
            longest_gap=1.5,
            sources=(("http://a.example/", 700), ("http://b.example/", 400)),
            duplicates=100,
        )
        told = json.loads(as_json(record))
        self.assertEqual(told["sources"], {"http://a.example/": 700, "http://b.example/": 400})
        self.assertEqual((told["first_byte"], told["longest_gap"]), (0.012346, 1.5))
        self.assertEqual((told["id"], told["duplicates"]), ("a1b2c3-1f", 100))

    @given(wild)
    def test_any_text_leaves_one_ascii_line(self, text: str) -> None:
        line = as_json(PLAIN._replace(target=text, user_agent=text))
        self.assertTrue(line.isascii() and line.isprintable())
        json.loads(line)["target"].encode("utf-8")


class EndingTests(SynchronousTestCase):
    def test_who_ended_it_and_when(self) -> None:
        for ended, error, status, begun, ending in (
            ("complete", None, 206, True, "--"),
            ("complete", "destination_not_found", 404, True, "--"),
            ("client left", None, 0, False, "CH"),
            ("client left", None, 206, True, "CD"),
            ("cut", "connection_write_timeout", 206, True, "cD"),
            ("refused", "http_request_error", 400, True, "PR"),
            ("refused", "http_request_error", 408, True, "cR"),
            ("failed", "connection_refused", 502, True, "SH"),
            ("failed", "http_response_timeout", 504, True, "sH"),
            ("failed", "proxy_internal_error", 500, True, "IH"),
            ("cut", "http_response_incomplete", 206, True, "SD"),
            ("cut", "connection_read_timeout", 206, True, "sD"),
            ("cut", "proxy_internal_error", 206, True, "ID"),
            ("cut", None, 206, True, "KD"),
            ("cut", None, 0, False, "KH"),
        ):
            first_byte = 0.1 if begun else None
            record = PLAIN._replace(ended=ended, error=error, status=status, first_byte=first_byte)
            self.assertEqual(record.ending, ending)


class AccessLogTests(SynchronousTestCase):
    def written(self, record: AccessRecord, name: str) -> bytes:
        lines: list[bytes] = []
        AccessLog(lines.append, name)(record)
        return b"".join(lines)

    def test_one_line_for_each_record(self) -> None:
        for name, line in (("combined", combined(PLAIN)), ("json", as_json(PLAIN))):
            self.assertEqual(self.written(PLAIN, name), line.encode() + b"\n")

    def test_unknown_format_is_refused_at_once(self) -> None:
        self.assertRaises(KeyError, AccessLog, print, "xml")
