"""What `aprp mirror check` prints: a table, the verdict in words, and a route as YAML."""

from __future__ import annotations

import base64
import binascii
import datetime
from collections.abc import Iterator, Sequence

from rich.table import Table

from aprp.core.choices import Same
from aprp.core.http.redirects import same_place
from aprp.core.recovery.same_setting import FROM_STRICTEST, objection, strictest
from aprp.core.recovery.sampling import BLOCK, blocks_in, chance_missed
from aprp.core.recovery.versions import Facts
from aprp.mirror.findings import Finding, Verdict, first_difference

NOTHING = "-"
_LONG = 24
_COLUMNS = ("", "bytes", "Last-Modified", "ETag", "digest", "ranges", "HTTP", "first byte", "rate")


def table(findings: Sequence[Finding]) -> Table:
    """Return a table with a row for each mirror, by the numbers that `legend` gives them."""
    made = Table(*_COLUMNS, box=None, pad_edge=False)
    for number, each in enumerate(findings, 1):
        made.add_row(str(number), *_cells(each))
    return made


def legend(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield a line for each mirror: its number and URL, where it redirects to, what failed."""
    for number, each in enumerate(findings, 1):
        line = f"{number}  {each.url}"
        if each.redirected is not None:
            line += f", redirected to {each.redirected}"
        yield line + ("" if each.error is None else f"\n   can't be compared: {each.error}")


def verdict_text(verdict: Verdict, findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the verdict as sentences."""
    best = verdict.best
    if not best:
        yield "No mirror could be compared."
        return
    if len(best) == 1 and verdict.same:
        yield f"There is one mirror: its file has {best[0].complete} bytes."
    elif verdict.same:
        yield f"The same file: all {len(best)} mirrors agree. " + _extent(verdict)
    elif len(verdict.groups) > 1:
        yield "Different files."
        for group in verdict.groups[1:]:
            yield f"{_numbers(group, findings)}: {_difference(group[0], best[0], findings)}."
    else:
        agree = "agree. " + _extent(verdict) if len(best) > 1 else "has nothing to compare with."
        yield f"Not all mirrors could be compared; {_numbers(best, findings)} {agree}"
    for each in best:
        if not each.ranges and each.complete:
            yield f"{_numbers((each,), findings)} ignores ranges; only its beginning was compared."
    yield from _settings(verdict, findings)


def route(verdict: Verdict) -> str:
    """Return a `sources:` route of the largest group as YAML; empty if no setting would hold."""
    best = verdict.best
    same = strictest(_facts(best)) if best else None
    if same is None:
        return ""
    path, urls = _places(best)
    lines = ["routes:", f"  - path: {_quoted(path)}", "    sources:"]
    lines += [f"      - url: {_quoted(url)}" for url in urls]
    lines.append(f"    same: {same}")
    if same is Same.LENGTH and len(best) > 1:
        lines.append("    compare: sample")
    if any(each.redirected and not same_place(each.url, each.redirected) for each in best):
        lines.append("    redirects: public")
    return "\n".join(lines) + "\n"


def _cells(found: Finding) -> Iterator[str]:
    facts = found.facts
    yield NOTHING if facts is None else str(facts.complete)
    yield from (NOTHING,) * 3 if facts is None else _validators(facts)
    yield NOTHING if facts is None else "yes" if found.ranges else "no"
    yield found.http or NOTHING
    yield NOTHING if found.latency is None else f"{found.latency * 1000:.0f} ms"
    yield NOTHING if found.rate is None else f"{found.rate / 1e6:.1f} MB/s"


def _validators(facts: Facts) -> Iterator[str]:
    shown = facts.validators
    if shown.last_modified is None:
        yield NOTHING
    else:
        when = datetime.datetime.fromtimestamp(shown.last_modified, datetime.UTC)
        weak = "" if shown.modified_is_strong else " (weak)"
        yield f"{when:%Y-%m-%d %H:%M:%S}{weak}"
    yield NOTHING if shown.etag is None else _short(bytes(shown.etag).decode("latin-1"))
    digests = sorted(facts.digests)
    yield ", ".join(f"{name.decode('latin-1')} {_hex(value)}" for name, value in digests) or NOTHING


def _hex(value: bytes) -> str:
    """Return the first digits of a digest in base 64, in hexadecimal as tools print them."""
    try:
        return base64.b64decode(value, validate=True).hex()[:8] + "…"
    except binascii.Error:
        return _short(value.decode("latin-1"))


def _short(text: str) -> str:
    return text if len(text) <= _LONG else text[: _LONG - 1] + "…"


def _extent(verdict: Verdict) -> str:
    """Return how much was compared, and what that may have missed."""
    complete, compared = verdict.best[0].complete, verdict.compared
    said = f"The length is {complete} bytes"
    if compared == blocks_in(complete):
        return said + ", and every byte is equal."
    said += f", and {compared} blocks of {BLOCK // 1024} KiB, most picked at random, are equal."
    chances = [
        f"{_percent(chance_missed(complete, compared, count))} if {what}"
        for count, what in (
            (1, "one block differed"),
            (-(-blocks_in(complete) // 100), "1% of them did"),
            (-(-blocks_in(complete) // 10), "10% did"),
        )
    ]
    return f"{said} The probability of missing a difference is {', '.join(chances)}."


def _percent(chance: float) -> str:
    if 0 < chance < 0.001:
        return "below 0.1%"
    return f"{min(chance, 0.999 if chance < 1 else 1.0) * 100:.3g}%"


def _difference(found: Finding, first: Finding, findings: Sequence[Finding]) -> str:
    other = _numbers((first,), findings)
    if found.complete != first.complete:
        return f"has {found.complete} bytes, {other} has {first.complete}"
    at = first_difference(found, first)
    return f"differs from {other} first at byte {at}, as far as they were compared"


def _settings(verdict: Verdict, findings: Sequence[Finding]) -> Iterator[str]:
    """Yield which `same:` settings would combine the mirrors with the same file."""
    best = verdict.best
    facts = _facts(best)
    chosen = strictest(facts)
    for same in FROM_STRICTEST:
        found = objection(same, facts)
        if found is None:
            yield f"`same: {same}` would hold" + ("." if same is not chosen else ": use it.")
        else:
            number, why = found
            yield f"`same: {same}` wouldn't hold: {_numbers((best[number],), findings)} {why}."
    for group in verdict.groups[1:]:
        for same in FROM_STRICTEST:
            if objection(same, [facts[0], _facts(group)[0]]) is None:
                liar = _numbers((group[0],), findings)
                yield f"Beware: `same: {same}` would combine {liar} with the others nevertheless."
    if chosen is Same.LENGTH and len(best) > 1:
        yield "Only the length would tell two versions apart; `compare: sample` adds some bytes."


def _facts(group: Sequence[Finding]) -> list[Facts]:
    return [each.facts for each in group if each.facts is not None]


def _numbers(group: Sequence[Finding], findings: Sequence[Finding]) -> str:
    """Return "mirror 1" or "mirrors 1 and 3"."""
    numbers = [str(findings.index(each) + 1) for each in group]
    if len(numbers) == 1:
        return f"mirror {numbers[0]}"
    return f"mirrors {', '.join(numbers[:-1])} and {numbers[-1]}"


def _places(group: Sequence[Finding]) -> tuple[str, list[str]]:
    """Return the route's path and the sources' URLs: folders if the file's name is the same."""
    files = [each.url.path.rsplit("/", 1)[1] for each in group]
    if len(set(files)) == 1 and all(each.url.query is None for each in group):
        folders = [str(each.url)[: len(str(each.url)) - len(files[0])] for each in group]
        above = group[0].url.path.split("/")[-2]
        return (f"/{above}/" if above else "/"), folders
    return f"/{files[0]}", [str(each.url) for each in group]


def _quoted(text: str) -> str:
    """Return the text as a scalar of YAML."""
    return "'" + text.replace("'", "''") + "'" if any(c in text for c in "#'?*&!{}[],%@`") else text
