"""What Metalinks say, and how malformed ones are refused."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.ranges import Range
from aprp.core.metalink import (
    LAST,
    BadMetalink,
    Hash,
    MetalinkFile,
    Pieces,
    check_name,
    chosen,
)
from aprp.upstream.metalink import parsing as metalink_xml
from aprp.upstream.metalink.parsing import parse
from tests.support.metalinks import metalink

SHA = hashlib.sha256(b"").hexdigest()

DISTRIBUTION = b"""\
<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink" xmlns:mm="http://example.org/mm">
  <generator>mirrors/1.0</generator>
  <published>2026-01-01T00:00:00Z</published>
  <file name="disc.iso">
    <mm:timestamp>1767225600</mm:timestamp>
    <size>600</size>
    <hash type="md5">d41d8cd98f00b204e9800998ecf8427e</hash>
    <hash type="whirlpool">00</hash>
    <hash type="SHA-256">%(sha)s</hash>
    <pieces length="256" type="sha-1">%(hash)s%(hash)s%(hash)s</pieces>
    <url location="SE" priority="2">http://b.example/disc.iso</url>
    <url priority="1" location="de">https://a.example/disc.iso?x=1&amp;y=2</url>
    <url priority="1">ftp://c.example/disc.iso</url>
    <url>http://d.example/disc.iso</url>
    <metaurl mediatype="torrent">http://a.example/disc.torrent</metaurl>
  </file>
</metalink>
""" % {b"sha": SHA.upper().encode(), b"hash": b"<hash>" + b"1" * 40 + b"</hash>"}


class ParseTests(SynchronousTestCase):
    def test_what_distributions_publish(self) -> None:
        (file,) = parse(DISTRIBUTION, "disc.meta4")
        self.assertEqual((file.name, file.size), ("disc.iso", 600))
        self.assertEqual(file.checksum, Hash("sha-256", SHA))
        self.assertEqual(file.pieces, Pieces("sha-1", 256, ("1" * 40,) * 3))
        urls = [str(each.url) for each in file.ordered()]
        a, b, d = (
            "https://a.example/disc.iso?x=1&y=2",
            "http://b.example/disc.iso",
            "http://d.example/disc.iso",
        )
        self.assertEqual(urls, [a, b, d])
        self.assertEqual([str(each.url) for each in file.ordered(["SE"])], [b, a, d])
        self.assertEqual(file.mirrors[-1].priority, LAST)

    def test_several_files(self) -> None:
        text = metalink(("a", b"one", ["http://a.example/a"]), ("b/c", b"", ["http://a.example/c"]))
        self.assertEqual(
            [(each.name, each.size) for each in parse(text, "")], [("a", 3), ("b/c", 0)]
        )

    def refused(self, text: bytes, expected: str) -> None:
        with self.assertRaises(BadMetalink) as caught:
            parse(text, "x.meta4")
        self.assertIn(expected, str(caught.exception))

    def test_what_is_wrong_and_where(self) -> None:
        for old, new, expected in (
            (b"<size>600<", b"<size>6OO<", "x.meta4:7: the size '6OO' isn't a whole number"),
            (b"<size>600<", b"<size>1024<", "x.meta4:11: has 3 pieces of 256 bytes, but 1024"),
            (b"<size>600</size>", b"", "x.meta4:11: has pieces, but no <size>"),
            (b"<size>600</size>", b"<size>6</size><size>7</size>", "x.meta4:7: gives the size"),
            (b'"256"', b'"0"', "x.meta4:11: the length of pieces '0' isn't a whole number from 1"),
            (b'"256"', b'"99999999999"', "x.meta4:11: has pieces of 99999999999 bytes"),
            (b"1" * 40, b"1" * 39, "x.meta4:11: '" + "1" * 39 + "' isn't a sha-1 hash"),
            (b'"disc.iso"', b'"../disc.iso"', "x.meta4:5: the file's name '../disc.iso' has an"),
            (b'"disc.iso"', b'"/etc/passwd"', "x.meta4:5: the file's name '/etc/passwd' isn't a"),
            (b"http://b", b"http://u:p@b", "x.meta4:12: the mirror 'http://u:p@b.example/disc"),
            (b'priority="2"', b'priority="no"', "x.meta4:12: the priority 'no' isn't"),
            (b"</file>", b"", "x.meta4:18: isn't well-formed XML: mismatched tag"),
            (b"file>", b"film>", "isn't well-formed XML"),
            (b"xml:ns:metalink", b"xml:ns:other", "x.meta4:2: isn't a Metalink: its root is"),
            (b"urn:ietf:params:xml:ns:metalink", b"http://www.metalinker.org/", "lists no file"),
            (b"http", b"ftp", "x.meta4:5: lists no http or https mirror of 'disc.iso'"),
        ):
            self.assertIn(old, DISTRIBUTION)
            self.refused(DISTRIBUTION.replace(old, new), expected)

    def test_no_metalink_at_all(self) -> None:
        for text, expected in (
            (b"", "isn't well-formed XML: no element found"),
            (b"<html/>", "isn't a Metalink"),
            (b'<metalink xmlns="urn:ietf:params:xml:ns:metalink"/>', "x.meta4:1: lists no file"),
            (b'<?xml version="1.0" encoding="nothing"?><a/>', "isn't well-formed XML"),
        ):
            self.refused(text, expected)

    def test_the_same_name_twice(self) -> None:
        one = ("a", b"one", ["http://a.example/a"])
        self.refused(metalink(one, one), "lists the file 'a' a second time")

    def test_entities_and_document_types(self) -> None:
        bomb = b'<!DOCTYPE m [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><metalink>&b;</metalink>'
        self.refused(bomb, "has a document type or entities, which aren't read")
        self.refused(b'<!DOCTYPE m SYSTEM "file:///etc/passwd"><m/>', "has a document type")

    def test_bounds(self) -> None:
        start = b'<metalink xmlns="urn:ietf:params:xml:ns:metalink">'
        self.refused(start + b"<file>" * 20, "has elements nested deeper than 16")
        self.patch(metalink_xml, "_MOST_ELEMENTS", 50)
        self.refused(start + b"<file/>" * 60, "has more than 50 elements")
        self.patch(metalink_xml, "_MOST_FILES", 2)
        self.refused(start + b"<file/>" * 3 + b"</metalink>", "lists more than 2 files")
        self.patch(metalink_xml, "MOST_BYTES", 100)
        self.refused(b" " * 101, "has more than 100 bytes")

    @given(st.binary(max_size=200), st.integers(0, len(DISTRIBUTION)), st.integers(0, 60))
    def test_damage_is_read_or_refused(self, junk: bytes, at: int, dropped: int) -> None:
        try:
            files = parse(DISTRIBUTION[:at] + junk + DISTRIBUTION[at + dropped :], "x")
        except BadMetalink:
            return
        for file in files:
            check_name(file.name)
            assert file.pieces is None or (file.size is not None and file.pieces.fits(file.size))


class PiecesTests(SynchronousTestCase):
    @given(st.integers(0, 5000), st.integers(1, 700), st.integers(0, 6000))
    def test_they_cover_the_file(self, complete: int, length: int, written: int) -> None:
        pieces = Pieces("md5", length, ("",) * -(-complete // length))
        self.assertTrue(pieces.fits(complete))
        at = 0
        for number in range(len(pieces.digests)):
            held = pieces.range_of(number, complete)
            self.assertEqual((held.start, pieces.at(at)), (at, number))
            self.assertEqual(pieces.whole_in(held.stop, complete), number + 1)
            self.assertEqual(pieces.whole_in(held.stop - 1, complete), number)
            at = held.stop
        self.assertEqual(at, complete)
        whole = pieces.whole_in(written, complete)
        self.assertTrue(whole == 0 or pieces.range_of(whole - 1, complete).stop <= written)

    def test_a_range(self) -> None:
        self.assertEqual(Pieces("md5", 10, ("",) * 3).range_of(2, 25), Range(20, 25))

    def test_names(self) -> None:
        for name in ("a", "a/b.iso", "...", "é"):
            check_name(name)
        for name in ("", "/a", "a//b", "..", "a/../b", "./a", "a\nb", "a\\b", "a/"):
            self.assertRaises(ValueError, check_name, name)


FEDORA = b"""<?xml version="1.0" encoding="utf-8"?>
<metalink version="3.0" xmlns="http://www.metalinker.org/" type="dynamic"
  pubdate="Sat, 01 Aug 2026 10:00:00 GMT" generator="mirrormanager"
  xmlns:mm0="http://fedorahosted.org/mirrormanager">
 <files>
  <file name="repomd.xml">
   <mm0:timestamp>1785578400</mm0:timestamp>
   <size>600</size>
   <verification>
    <hash type="md5">%(md5)s</hash>
    <hash type="sha1">%(sha1)s</hash>
    <hash type="sha256">%(sha256)s</hash>
   </verification>
   <mm0:alternates>
    <mm0:alternate>
     <size>9</size>
     <verification><hash type="sha256">%(other)s</hash></verification>
    </mm0:alternate>
   </mm0:alternates>
   <resources maxconnections="1">
    <url protocol="http" type="http" location="DE" preference="100">http://a.example/repomd.xml</url>
    <url protocol="rsync" type="rsync" location="DE" preference="100">rsync://a.example/r</url>
    <url protocol="https" type="https" location="AT" preference="99">https://b.example/repomd.xml</url>
   </resources>
  </file>
 </files>
</metalink>
""" % {b"md5": b"0" * 32, b"sha1": b"1" * 40, b"sha256": b"2" * 64, b"other": b"3" * 64}

LIBREOFFICE = b"""<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink">
  <generator>MirrorBrain/2.19.0</generator>
  <origin dynamic="true">https://download.example/office.tar.gz.meta4</origin>
  <published>2026-08-01T10:00:00Z</published>
  <publisher><name>The Office</name><url>https://www.office.example</url></publisher>
  <file name="office.tar.gz">
    <size>600</size>
    <hash type="md5">%(md5)s</hash>
    <hash type="sha-256">%(sha256)s</hash>
    <pieces length="262144" type="sha-1">
      <hash>%(sha1)s</hash>
    </pieces>
    <!-- Meta URLs to the same file -->
    <metaurl mediatype="torrent" priority="1">https://download.example/office.torrent</metaurl>
    <url location="de" priority="2">https://a.example/office.tar.gz</url>
    <url location="fr" priority="1">https://b.example/office.tar.gz</url>
    <url location="fr" priority="3">ftp://c.example/office.tar.gz</url>
  </file>
</metalink>
""" % {b"md5": b"0" * 32, b"sha1": b"1" * 40, b"sha256": b"2" * 64}

DEBIAN = b"""<?xml version="1.0" encoding="UTF-8"?>
<metalink version="3.0" xmlns="http://www.metalinker.org/" origin="http://a.example/cd.metalink">
  <publisher><name>Debian</name></publisher>
  <files>
    <file name="debian-netinst.iso">
      <size>600</size>
      <verification>
        <hash type="sha512">%(sha512)s</hash>
        <pieces length="256" type="sha1">
          <hash piece="1">%(b)s</hash><hash piece="0">%(a)s</hash><hash piece="2">%(c)s</hash>
        </pieces>
        <signature type="pgp" file="netinst.iso.sig">-----BEGIN PGP SIGNATURE-----</signature>
      </verification>
      <resources>
        <url type="bittorrent" preference="100">http://a.example/cd.torrent</url>
        <url type="http" location="uk" preference="90">http://a.example/cd.iso</url>
        <url type="http">http://b.example/cd.iso</url>
      </resources>
    </file>
  </files>
</metalink>
""" % {b"sha512": b"5" * 128, b"a": b"a" * 40, b"b": b"b" * 40, b"c": b"c" * 40}


class PublishedTests(SynchronousTestCase):
    """Metalinks in the shapes in which they are published."""

    def test_of_fedoras_mirror_manager(self) -> None:
        (file,) = parse(FEDORA, "x")
        self.assertEqual((file.name, file.size), ("repomd.xml", 600))
        self.assertEqual([each.algorithm for each in file.hashes], ["md5", "sha-1", "sha-256"])
        self.assertEqual(file.checksum, Hash("sha-256", "2" * 64))
        said = [(str(each.url), each.priority, each.location) for each in file.ordered()]
        first, second = "http://a.example/repomd.xml", "https://b.example/repomd.xml"
        self.assertEqual(said, [(first, 1, "de"), (second, 2, "at")])
        self.assertEqual(str(file.ordered(["at"])[0].url), second)

    def test_of_libreoffices_mirror_brain(self) -> None:
        (file,) = parse(LIBREOFFICE, "x")
        self.assertEqual(file.pieces, Pieces("sha-1", 262144, ("1" * 40,)))
        urls = [str(each.url) for each in file.ordered()]
        self.assertEqual(urls, [f"https://{host}.example/office.tar.gz" for host in "ba"])

    def test_of_debians_discs(self) -> None:
        (file,) = parse(DEBIAN, "x")
        self.assertEqual(file.pieces, Pieces("sha-1", 256, ("a" * 40, "b" * 40, "c" * 40)))
        self.assertEqual([each.priority for each in file.ordered()], [11, LAST])


class ChosenTests(SynchronousTestCase):
    def test_the_file_that_a_path_means(self) -> None:
        files = [MetalinkFile(name, ()) for name in ("a.iso", "x/a.iso", "b.iso")]
        for path, name in (("a.iso", "a.iso"), ("x/a.iso", "x/a.iso"), ("y/b.iso", "b.iso")):
            found = chosen(files, path)
            assert found is not None
            self.assertEqual(found.name, name)
        self.assertIsNone(chosen(files, "ba.iso"))
        self.assertIs(chosen(files[:1], "whatever"), files[0])
