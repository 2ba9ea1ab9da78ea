"""The reverse proxy in front of a real nginx: ranges, conditions, paths, methods and fields."""

from __future__ import annotations

import gzip
import os
import random

from aprp.web.loops import NAME
from tests.support.nginx import Nginx
from tests.support.proxied_case import ProxyCase
from tests.support.responses import Response, parts_of

CONTENT = random.Random(1).randbytes(300_000)
SIZE = len(CONTENT)
WHEN = 1_600_000_000
MODIFIED = "Sun, 13 Sep 2020 12:26:40 GMT"
BEFORE = "Sun, 13 Sep 2020 12:26:39 GMT"
AFTER = "Sun, 13 Sep 2020 12:26:41 GMT"

NO_RANGES = "location /plain/ { max_ranges 0; alias {folder}/www/; }"
NO_VALIDATORS = """
location /bare/ { etag off; add_header Last-Modified ""; alias {folder}/www/; }
"""
REDIRECTS = """
location = /go/absolute { return 301 http://$host:$server_port/film.mp4?x=1; }
location = /go/relative { return 302 /film.mp4; }
location = /go/beside { add_header Location other.mp4 always; return 300; }
location = /go/away { return 302 https://elsewhere.example/film.mp4; }
location = /go/named { return 302 http://films.example/film.mp4; }
"""
ECHO = """
location /echo {
    default_type text/plain;
    set $first "$request_method|$request_uri|$http_host|$http_x_token|$http_via|$http_connection";
    return 200 "$first|$http_x_forwarded_for|$http_x_forwarded_host|$http_range";
}
"""


class NginxCase(ProxyCase):
    def files(self, server: str = "", http: str = "") -> Nginx:
        nginx = self.nginx(server, http, film_mp4=CONTENT, empty_txt=b"")
        for path in nginx.www.iterdir():
            os.utime(path, (WHEN, WHEN))
        return nginx

    def check_part(self, got: Response, start: int, stop: int) -> None:
        self.assertEqual(got.status, 206)
        self.assertEqual(got.fields["Content-Range"], f"bytes {start}-{stop - 1}/{SIZE}")
        self.assertEqual(got.fields.get_all("Content-Length"), [str(stop - start)])
        self.assertEqual(got.fields["Content-Type"], "video/mp4")
        self.assertTrue(got.whole)
        self.assertEqual(got.body, CONTENT[start:stop])

    def check_whole(self, got: Response) -> None:
        self.assertEqual((got.status, got.whole), (200, True))
        self.assertEqual(got.fields["Accept-Ranges"], "bytes")
        self.assertEqual(got.fields.get_all("Content-Length"), [str(SIZE)])
        self.assertNotIn("Content-Range", got.fields)
        self.assertEqual(got.body, CONTENT)


class RangeTests(NginxCase):
    async def test_ranges_of_an_upstream_that_knows_them_and_of_others(self) -> None:
        port = self.proxy(self.files(NO_RANGES + NO_VALIDATORS).url)
        for folder in ("/", "/plain/", "/bare/"):
            for header, start, stop in (
                ("bytes=0-0", 0, 1),
                ("bytes=0-499", 0, 500),
                ("bytes=299999-", SIZE - 1, SIZE),
                ("bytes=1000-", 1000, SIZE),
                ("bytes=-5", SIZE - 5, SIZE),
                ("bytes=-999999", 0, SIZE),
                ("BYTES=100000-999999999999999999999", 100_000, SIZE),
                ("bytes=200000-200000, 300000-", 200_000, 200_001),
                ("bytes=300000-, 200000-200000", 200_000, 200_001),
            ):
                got = await self.ask(port, f"{folder}film.mp4", {"Range": header})
                self.check_part(got, start, stop)

    async def test_several(self) -> None:
        port = self.proxy(self.files(NO_RANGES + NO_VALIDATORS).url)
        wanted = {"Range": "bytes=250000-250009, 0-99, -10"}
        ranges = [(250_000, 250_010), (0, 100), (SIZE - 10, SIZE)]
        for folder, order in (
            ("/", ranges),
            ("/plain/", sorted(ranges)),
            ("/bare/", sorted(ranges)),
        ):
            got = await self.ask(port, f"{folder}film.mp4", wanted)
            self.assertEqual((got.status, got.whole), (206, True))
            self.assertNotIn("Content-Range", got.fields)
            self.assertEqual(
                parts_of(got),
                [(f"bytes {a}-{b - 1}/{SIZE}", CONTENT[a:b]) for a, b in order],
            )

    async def test_too_many_and_too_much(self) -> None:
        port = self.proxy(self.files().url, max_ranges=3)
        for header in ("bytes=0-0,2-2,4-4,6-6", "bytes=0-,0-"):
            self.check_whole(await self.ask(port, "/film.mp4", {"Range": header}))

    async def test_ignored(self) -> None:
        port = self.proxy(self.files().url)
        for header in ("bytes=5-4", "bytes=+1-2", "bytes=1_0-20", "lines=0-4", "bytes", "bytes=a"):
            self.check_whole(await self.ask(port, "/film.mp4", {"Range": header}))

    async def test_unsatisfiable(self) -> None:
        port = self.proxy(self.files(NO_RANGES).url, path_ranges="end")
        for path, header, size in (
            ("/film.mp4", "bytes=300000-", SIZE),
            ("/film.mp4", "bytes=-0", SIZE),
            ("/film.mp4", "bytes=99999999999999999999-", SIZE),
            ("/film.mp4", "bytes=300000-,400000-", SIZE),
            ("/empty.txt", "bytes=0-", 0),
            ("/empty.txt", "bytes=-5", 0),
            ("/empty.txt/0", None, 0),
            ("/film.mp4/300000", None, SIZE),
            ("/film.mp4/9/5", None, SIZE),
        ):
            for folder in ("", "/plain"):
                for method in ("GET", "HEAD") if header is None else ("GET",):
                    fields = {} if header is None else {"Range": header}
                    got = await self.ask(port, folder + path, fields, method)
                    self.assertEqual(got.status, 416, (folder, path, header))
                    self.assertEqual(got.fields["Content-Range"], f"bytes */{size}", (path, header))

    async def test_an_empty_file(self) -> None:
        port = self.proxy(self.files().url)
        for method in ("GET", "HEAD"):
            got = await self.ask(port, "/empty.txt", {}, method)
            self.assertEqual((got.status, got.fields["Content-Length"]), (200, "0"))

    async def test_a_missing_file_stays_missing(self) -> None:
        port = self.proxy(self.files().url, path_ranges="end")
        for path in ("/none.mp4", "/none.mp4/0/99"):
            got = await self.ask(port, path, {"Range": "bytes=0-99"})
            self.assertEqual(got.status, 404)

    async def test_over_4_gib(self) -> None:
        nginx = self.files()
        size = 5 * 2**30
        with open(nginx.www / "big.mp4", "wb") as big:
            big.truncate(size)
            big.seek(size - 1000)
            big.write(CONTENT[:1000])
        port = self.proxy(nginx.url, path_ranges="length")
        ask = [("/big.mp4", {"Range": header}) for header in ("bytes=-500", f"bytes={size - 500}-")]
        for path, fields in [*ask, (f"/big.mp4/{size - 500}/500", {})]:
            got = await self.ask(port, path, fields)
            self.assertEqual(got.status, 206)
            self.assertEqual(got.fields["Content-Range"], f"bytes {size - 500}-{size - 1}/{size}")
            self.assertEqual(got.body, CONTENT[500:1000])
        got = await self.ask(port, "/big.mp4", {}, "HEAD")
        self.assertEqual(got.fields["Content-Length"], str(size))


class ConditionTests(NginxCase):
    async def test_if_range(self) -> None:
        port = self.proxy(self.files(NO_RANGES).url)
        etag = (await self.ask(port, "/film.mp4", {}, "HEAD")).fields["ETag"]
        for folder in ("/", "/plain/"):
            for condition, holds in (
                (etag, True),
                (MODIFIED, True),
                ("Sunday, 13-Sep-20 12:26:40 GMT", True),
                (f"W/{etag}", False),
                ('"other"', False),
                (BEFORE, False),
                (AFTER, False),
                ("nonsense", False),
            ):
                fields = {"Range": "bytes=5-9", "If-Range": condition}
                got = await self.ask(port, f"{folder}film.mp4", fields)
                if holds:
                    self.check_part(got, 5, 10)
                else:
                    self.check_whole(got)

    async def test_an_unsatisfiable_range_under_a_condition_that_fails(self) -> None:
        port = self.proxy(self.files().url)
        fields = {"Range": "bytes=300000-", "If-Range": '"other"'}
        self.check_whole(await self.ask(port, "/film.mp4", fields))

    async def test_preconditions_with_and_without_ranges(self) -> None:
        port = self.proxy(self.files(NO_RANGES).url, path_ranges="end")
        etag = (await self.ask(port, "/film.mp4", {}, "HEAD")).fields["ETag"]
        for fields, status in (
            ({"If-None-Match": etag}, 304),
            ({"If-None-Match": f'"x", W/{etag}'}, 304),
            ({"If-None-Match": '"x"'}, None),
            ({"If-Modified-Since": MODIFIED}, 304),
            ({"If-Modified-Since": AFTER}, 304),
            ({"If-Modified-Since": BEFORE}, None),
            ({"If-None-Match": '"x"', "If-Modified-Since": MODIFIED}, None),
            ({"If-Match": etag}, None),
            ({"If-Match": "*"}, None),
            ({"If-Match": '"x"'}, 412),
            ({"If-Match": f"W/{etag}"}, 412),
            ({"If-Unmodified-Since": MODIFIED}, None),
            ({"If-Unmodified-Since": BEFORE}, 412),
        ):
            for path, ranged in (
                ("/film.mp4", {}),
                ("/film.mp4", {"Range": "bytes=0-4"}),
                ("/plain/film.mp4", {"Range": "bytes=0-4"}),
                ("/film.mp4", {"Range": "bytes=300000-"}),
                ("/film.mp4/0/4", {}),
            ):
                satisfiable = ranged.get("Range") != "bytes=300000-"
                otherwise = (206 if satisfiable else 416) if ranged or "/0/4" in path else 200
                got = await self.ask(port, path, {**fields, **ranged})
                self.assertEqual(got.status, status or otherwise, (fields, path, ranged))
                if status == 304:
                    self.assertEqual((got.body, got.fields["ETag"]), (b"", etag))


class PathTests(NginxCase):
    async def test_both_meanings(self) -> None:
        url = self.files(NO_RANGES).url
        end = self.proxy(url, path_ranges="end")
        length = self.proxy(url, path_ranges="length")
        for folder in ("/", "/plain/"):
            for port, path, start, stop in (
                (end, "film.mp4/5/9", 5, 10),
                (length, "film.mp4/5/9", 5, 14),
                (end, "film.mp4/5/", 5, SIZE),
                (end, "film.mp4/5", 5, SIZE),
                (length, "film.mp4/299000/999999", 299_000, SIZE),
                (end, "film.mp4/0/99999999999999999999999", 0, SIZE),
            ):
                self.check_part(await self.ask(port, folder + path), start, stop)
                got = await self.ask(port, folder + path, {}, "HEAD")
                self.assertEqual((got.status, got.body), (206, b""))
                self.assertEqual(got.fields["Content-Length"], str(stop - start))
                self.assertEqual(got.fields["Content-Range"], f"bytes {start}-{stop - 1}/{SIZE}")

    async def test_off(self) -> None:
        port = self.proxy(self.files().url)
        self.assertEqual((await self.ask(port, "/film.mp4/0/9")).status, 404)

    async def test_conflicts(self) -> None:
        port = self.proxy(self.files().url, path_ranges="end")
        for path, header, same in (
            ("/film.mp4/5/9", "bytes=5-9", True),
            ("/film.mp4/299990/", "bytes=-10", True),
            ("/film.mp4/299990/999999", "bytes=299990-", True),
            ("/film.mp4/5/9", "lines=1-2", True),
            ("/film.mp4/5/9", "bytes=5-10", False),
            ("/film.mp4/5/9", "bytes=300000-", False),
        ):
            for method in ("GET", "HEAD"):
                got = await self.ask(port, path, {"Range": header}, method)
                self.assertEqual(got.status, 206 if same else 416, (path, header))
                if not same:
                    self.assertEqual(got.fields["Content-Range"], f"bytes */{SIZE}")

    async def test_a_route_that_is_one_file(self) -> None:
        port = self.proxy(self.files().url + "film.mp4", "/the-film", path_ranges="end")
        self.check_whole(await self.ask(port, "/the-film"))
        self.check_part(await self.ask(port, "/the-film/5/9"), 5, 10)

    async def test_a_text_that_would_be_coded(self) -> None:
        text = b"a line of text\n" * 5000
        nginx = self.nginx("gzip on; gzip_proxied any;", lines_html=text)
        port = self.proxy(nginx.url, path_ranges="end")
        coded = {"Accept-Encoding": "gzip"}
        for method in ("GET", "HEAD"):
            got = await self.ask(port, "/lines.html/15/29", coded, method)
            self.assertEqual((got.status, got.fields["Content-Encoding"]), (206, None))
            self.assertEqual(got.fields["Content-Range"], f"bytes 15-29/{len(text)}")
        whole = await self.ask(port, "/lines.html", coded)
        self.assertEqual((whole.status, whole.fields["Content-Encoding"]), (200, "gzip"))
        self.assertEqual(gzip.decompress(whole.body), text)


class FieldTests(NginxCase):
    async def test_what_the_upstream_sees(self) -> None:
        nginx = self.files(ECHO)
        port = self.proxy(
            nginx.url, "/films/", host="films.example:81", headers={"X-Token": "ours"}
        )
        fields = {
            "X-Token": "theirs",
            "Via": "1.0 before",
            "X-Forwarded-For": "10.1.1.1",
            "Connection": "close, x-hop",
            "X-Hop": "1",
        }
        got = await self.ask(port, "/films/echo/a%2Fb//c?q=%20&r", fields)
        self.assertEqual(
            got.body.decode().split("|"),
            [
                "GET",
                "/echo/a%2Fb//c?q=%20&r",
                "films.example:81",
                "ours",
                f"1.0 before, 1.1 {NAME.decode()}",
                "",
                "10.1.1.1, 127.0.0.1",
                "proxy.example",
                "",
            ],
        )
        self.assertEqual(got.fields["Via"], "1.1 aprp")

    async def test_location(self) -> None:
        nginx = self.files("absolute_redirect off;" + REDIRECTS)
        port = self.proxy(nginx.url, "/films/", path_ranges="end")
        named = self.proxy(nginx.url, "/films/", host="films.example")
        for at, path, location in (
            (port, "absolute", "/films/film.mp4?x=1"),
            (port, "relative", "/films/film.mp4"),
            (port, "away", "https://elsewhere.example/film.mp4"),
            (port, "named", "http://films.example/film.mp4"),
            (named, "named", "/films/film.mp4"),
            (port, "absolute/0/99", "/films/film.mp4/0/99?x=1"),
            (port, "beside/0/99", "/films/go/other.mp4/0/99"),
            (port, "away/0/99", "https://elsewhere.example/film.mp4"),
        ):
            got = await self.ask(at, f"/films/go/{path}")
            self.assertIn(got.status, (300, 301, 302))
            self.assertEqual(got.fields["Location"], location)

    async def test_methods_that_nginx_refuses(self) -> None:
        port = self.proxy(self.files().url)
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            got = await self.ask(port, "/film.mp4", {}, method, b"x" * 10)
            self.assertEqual(got.status, 405)

    async def test_no_route(self) -> None:
        port = self.proxy(self.files().url, "/films/")
        self.assertEqual((await self.ask(port, "/film.mp4")).status, 404)
        self.check_whole(await self.ask(port, "/films/film.mp4"))
