"""The examples of docs/library.md, run as they stand there against mirrors of our own."""

from __future__ import annotations

import re

from tests.support.mirrored_case import SIZE, honest
from tests.support.replies import Received, Reply
from tests.support.scripted import ROOT, ScriptCase

TEXT = (ROOT / "docs" / "library.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
ASKING = """
host = "https://a.example/film.mp4,https://b.example/film.mp4"
print(len(app.test_client().get("/proxy", query_string={"host": host}).data))
"""


def having(received: Received) -> Reply:
    return honest(received) if received.target == b"/film.mp4" else Reply(404)


class LibraryExamples(ScriptCase):
    async def example(self, sign: str, more: str = "") -> str:
        """What the one example that has `sign` in it prints."""
        (code,) = [each for each in EXAMPLES if sign in each]
        for name, origin in zip("ab", await self.mirrors(having, having), strict=True):
            more = more.replace(f"https://{name}.example", origin.url)
            code = code.replace(f"https://{name}.example", origin.url)
        self.assertNotIn(".example", code)
        return await self.script(code + more)

    async def test_a_script(self) -> None:
        self.assertEqual(await self.example("print(size)"), f"{SIZE}\n")

    async def test_a_context(self) -> None:
        self.assertEqual(await self.example("as downloader"), f"{SIZE} bytes\n")

    async def test_a_failure(self) -> None:
        self.assertRegex(await self.example("missing"), r"http://127\.0\.0\.1:\d+ answered 404\n")

    async def test_flask(self) -> None:
        self.assertEqual(await self.example("Flask", ASKING), f"{SIZE}\n")

    async def test_older_names(self) -> None:
        more = "print(len(whole), len(sent) > 0, len(received), all(delays.values()))"
        out = await self.example("STATIC", more)
        self.assertEqual(out, f"{SIZE} True {-(-SIZE // 10**6)} True\n")

    async def test_twisted(self) -> None:
        first, *parts = (await self.example("import react\n")).splitlines()
        self.assertEqual(first, f"{SIZE} b'video/mp4' Range(start=1000, stop=500000)")
        self.assertEqual(sum(map(int, parts)), 499_000)

    async def test_asyncio(self) -> None:
        parts = (await self.example("asyncio.run(main())")).splitlines()
        self.assertEqual(sum(map(int, parts)), SIZE)

    async def test_none_is_forgotten(self) -> None:
        tests = [name for name in dir(self) if name.startswith("test_")]
        self.assertEqual(len(EXAMPLES), len(tests) - 1)
