"""Every fault of a file at once, each with its place and what to do."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from aprp.config import ConfigFaults, load
from tests.support.config_case import FORM, LEAST, ConfigCase, in_route


class FaultTests(ConfigCase):
    def test_all_at_once_in_the_order_of_the_file(self) -> None:
        said = self.faults("""\
            listen: tcp:8000
            admim: tcp:8001
            memory: 512
            memory: 12MiB
            log:
              level: inof
              acces: "-"
            routes:
              - path: films
                upstream: ftp://a/
                path_range: end
                tls: {ca: nope.pem, cert: 1}
              - path: /a/../b
                block_size: 1KiB
                sources:
                  - https://a/
                  - {url: "http://127.1/", conections: 3}
              - nothing
            """)
        self.assertEqual(
            [re.sub(r"^(\d+:\d+: [^ ]+): .*", r"\1", line) for line in said],
            [
                "1:9: listen",
                "2:1: admim",
                "3:9: memory",
                "4:1: memory",
                "6:10: log.level",
                "7:3: log.acces",
                "9:11: routes[0].path",
                "10:15: routes[0].upstream",
                "11:5: routes[0].path_range",
                "12:15: routes[0].tls.ca",
                "12:25: routes[0].tls.cert",
                "13:11: routes[1].path",
                "14:17: routes[1].block_size",
                "16:9: routes[1].sources[0]",
                "17:15: routes[1].sources[1].url",
                "17:32: routes[1].sources[1].conections",
                "18:5: routes[2]",
            ],
        )

    def test_keys_that_were_probably_meant(self) -> None:
        for lines, said in (
            ("path_range: end", "5:5: routes[0].path_range: is not a known key; "
             "did you mean path_ranges?"),
            ("Path-Ranges: end", "did you mean path_ranges?"),
            ("level: info", "it belongs in log:"),
            ("ca: x", "it belongs in tls:"),
            ("connections: 3", "it belongs in an item of sources:"),
            ("zzz: 3", "known here: path, "),
        ):  # fmt: skip
            self.assertIn(said, self.fault(in_route(lines)))

    def test_words_that_were_probably_meant(self) -> None:
        for text, said in (
            ("ends", "did you mean end? (end, length or off)"),
            ("OFF", "did you mean off?"),
            ("xyz", "write end, length or off"),
            ("false", "is not valid here"),
        ):
            fault = self.fault(in_route(f"path_ranges: {text}"))
            self.assertIn(said, fault)

    def test_missing_keys_point_at_their_mapping(self) -> None:
        said = self.faults("# a comment\nlog: {}\n")
        self.assertTrue(said[0].startswith("2:1: listen: is missing. The endpoints"), said)
        self.assertTrue(said[1].startswith("2:1: routes: is missing."), said)
        said = self.faults("listen: [tcp:0]\nroutes:\n  - upstream: http://a/\n")
        self.assertTrue(said[0].startswith("3:5: routes[0].path: is missing."), said)
        said = self.faults(in_route("", "sources: [{connections: 1}]"))
        self.assertTrue(said[0].startswith("4:15: routes[0].sources[0]: a source has"), said)

    def test_shapes(self) -> None:
        for text, said in (
            ("listen: {}", "1:9: listen: must be a list"),
            ("listen: []", "1:9: listen: needs at least one item"),
            ("listen: [[tcp:0]]", "1:10: listen[0]: must be a single value, not a list"),
            ("log: x", "1:6: log: must be a mapping"),
            ("log: [level]", "1:6: log: must be a mapping"),
            ("log:", "1:5: log: is empty"),
            ("routes: {}", "1:9: routes: must be a list"),
            ("routes: [null]", "1:10: routes[0]: is empty"),
            ("routes: [[]]", "1:10: routes[0]: must be a mapping"),
            ("admin: [tcp:0]", "1:8: admin: must be an endpoint string, as tcp:8001, or"),
            ("memory: {}", "1:9: memory: must be a single value, not a mapping"),
            ("- x", "1:1: yaml: must be a mapping"),
            ("x", "1:1: yaml: must be a mapping"),
        ):
            self.assertTrue(any(line.startswith(said) for line in self.faults(text)), text)
        for lines, said in (
            ("headers: [a]", "5:14: routes[0].headers: must be a mapping"),
            ("headers: a", "5:14: routes[0].headers: must be a mapping"),
            ("headers:", "5:13: routes[0].headers: is empty"),
            ("tls: x", "5:10: routes[0].tls: must be a mapping"),
        ):
            self.assertTrue(self.fault(in_route(lines)).startswith(said), lines)

    def test_what_is_not_read_of_yaml(self) -> None:
        for lines, said in (
            ("host: &a b", "5:11: routes[0].host: has an anchor (&a)"),
            ("host: *a", "5:11: routes[0].host: is an alias (*a)"),
            ("tls: &a {}", "5:10: routes[0].tls: has an anchor"),
            ("<<: {host: a}", "5:5: routes[0].'<<': is a merge key"),
            ("host: !!str a", "5:11: routes[0].host: has a tag"),
            ("tls: !x {}", "5:10: routes[0].tls: has a tag"),
            ("host: a\nhost: b", "6:5: routes[0].host: is a duplicate (first on line 5)"),
            ("? [a]\n: b", "5:7: routes[0]: has a key that isn't a single word"),
            ("&a host: b", "5:5: routes[0]: has an anchor"),
        ):
            self.assertTrue(self.fault(in_route(lines)).startswith(said), lines)

    def test_a_bomb_of_aliases_stays_small(self) -> None:
        lines = ["a0: &a0 [x, x]"]
        lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
        said = self.faults("\n".join(lines))
        self.assertEqual(sum("is an alias" in line for line in said), 29 * 9)

    def test_not_yaml(self) -> None:
        for text, said in (
            ("a: [", "1:5: yaml: not valid YAML"),
            ("a: b: c", "quote a value"),
            ("a:\n\tb: c", "2:1: yaml: not valid YAML"),
            ("access: -", '"-"'),
            ("allow: [*.a]", '"*.example.org"'),
            ("a: 1\n---\nb: 1", "leave out the line ---"),
            ('a: 1\nb: "\x01"', "2:5: yaml: has the character U+0001"),
            ("[" * 1000, "nested too deeply"),
            ("", "1:1: yaml: the file is empty"),
            ("# nothing\n", "1:1: yaml: the file is empty"),
        ):
            self.assertIn(said, self.fault(text))

    def test_files_that_cannot_be_read(self) -> None:
        self.assertIn("2:4: file: has the byte 0xFF", self.fault(b"a: b\nc: \xff"))
        self.assertIn("1:1: file: is larger than 1MiB", self.fault(b"#" * 2**20 + b"#"))
        for path, said in (
            (self.folder / "none", "No such file"),
            (self.folder, "Is a directory"),
            ("a\0b", "NUL"),
        ):
            refused = self.assertRaises(ConfigFaults, load, path)
            self.assertTrue(str(refused).startswith(f"{path}:1:1: file: can't be read"))
            self.assertIn(said, str(refused))

    def test_a_byte_order_mark_is_no_fault(self) -> None:
        self.assertEqual(self.read(b"\xef\xbb\xbf" + LEAST.encode()).warnings, ())

    @settings(max_examples=200)
    @given(st.text(alphabet="aroutes: \n-[]{}&*!'\"#|>?\t,\\0%", max_size=60))
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        try:
            self.read(text)
        except ConfigFaults as refused:
            for line in str(refused).split("\n"):
                self.assertIsNotNone(FORM.fullmatch(line), line)
