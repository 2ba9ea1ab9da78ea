"""The answers of the daemon, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def text_of(command: str, result: Any) -> str:
    """Return the result of a command as lines of text."""
    match command:
        case "status":
            return _status(result)
        case "sources":
            return _table(
                ("SOURCE", "STATE", "IN USE", "RATE", "LATENCY", "ROUTES"),
                [_source(each) for each in result],
                "no sources: the routes take those that clients name",
            )
        case "transfers":
            return _table(
                ("CLIENT", "REQUEST", "RANGE", "STATUS", "SENT", "SECONDS"),
                [_transfer(each) for each in result],
                "no requests are being answered",
            )
        case "drain" | "resume":
            return _service(result)
        case "reload":
            return str(result["message"])
        case "log-level":
            return f"logging at {result['level']}, until the next reload"
        case "cache-list":
            return _cached(result)
        case "cache-purge":
            return f"{_files(result['purged'])} deleted"
        case "cache-prefetch":
            length = "" if result["length"] is None else f", {size(result['length'])}"
            return f"fetching {result['url']}{length}; `aprp ctl cache list` shows what is there"
        case "cache-pin" | "cache-unpin":
            return f"{_files(result['changed'])} {'pinned' if result['pinned'] else 'unpinned'}"
        case "cache-verify":
            going_on = "" if result["ended"] else "; it goes on, run the command again to wait"
            return f"{result['blocks']} blocks read, {result['lost']} of them lost{going_on}"
    return str(result)


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _cached(result: Any) -> str:
    rows = [
        (
            size(each["stored"]),
            "-" if each["length"] is None else size(each["length"]),
            "pinned" if each["pinned"] else "",
            each["key"],
        )
        for each in result["files"]
    ]
    used = f"{size(result['used'])} of {size(result['size'])} used"
    table = _table(("STORED", "LENGTH", "", "FILE"), rows, "no such files")
    return f"{table}\n{used}"


def _status(status: Any) -> str:
    memory, reload = status["memory"], status["reload"]
    lines = [
        f"aprp {status['version']}, pid {status['pid']}: {status['state']}",
        f"listening on {', '.join(status['addresses'])}",
        f"{status['requests']} requests, {status['clients']} connections of clients, "
        f"{status['connections']} to sources",
        f"{size(memory['held'])} of {size(memory['limit'])} held in memory",
    ]
    if workers := status.get("workers"):
        serving = sum(each["state"] == "serving" for each in workers)
        restarts = status["worker_restarts"]
        lines.append(f"workers: {serving} of {len(workers)} serving; restarts: {restarts}")
    if status["out_of_service"]:
        lines.append(f"out of service: {', '.join(status['out_of_service'])}")
    if reload is not None:
        how = "done" if reload["ok"] else "refused"
        lines.append(f"last reload {reload['at']}: {how}\n{reload['message']}")
    return "\n".join(lines)


def _source(source: Any) -> tuple[str, ...]:
    rate, latency = source["bytes_per_second"], source["latency"]
    return (
        source["source"],
        source["out_of_service"] or _state(source),
        str(source["connections"]),
        f"{size(rate)}/s" if rate else "-",
        "-" if latency is None else f"{latency * 1000:.1f} ms",
        " ".join(source["routes"]),
    )


def _state(source: Any) -> str:
    failing = source["failures"] and source["last_error"]
    return f"{source['state']}: {source['last_error']}" if failing else str(source["state"])


def _transfer(transfer: Any) -> tuple[str, ...]:
    return (
        transfer["client"],
        f"{transfer['method']} {transfer['target']}",
        transfer["range"] or "-",
        str(transfer["status"] or "-"),
        size(transfer["bytes_sent"]),
        f"{transfer['seconds']:.1f}",
    )


def _service(result: Any) -> str:
    out, count = result["out_of_service"], result["connections"]
    if out is None:
        lines = [f"{result['source']} is in service"]
    else:
        lines = [f"{result['source']} is out of service ({out}); {count} connections in use"]
    lines += [f"{path} has no source in service" for path in result["routes_without_source"]]
    return "\n".join(lines)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> str:
    if not rows:
        return empty
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def size(count: int) -> str:
    """Return bytes as people write them."""
    for unit, least in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= least:
            return f"{count / least:.1f} {unit}"
    return f"{count} B"
