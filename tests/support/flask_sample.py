"""The ad-hoc proxy that users of sphttp know, under waitress; prints the port it listens on."""

from __future__ import annotations

import time

from flask import Flask, Response, request
from waitress.server import create_server

from aprp import Downloader
from tests.support.patience import PATIENCE

app = Flask(__name__)


@app.route("/proxy")
def proxy() -> Response:
    downloader = Downloader(urls=request.args["host"].split(","))
    return Response(downloader.generator(), mimetype="application/octet-stream")


@app.route("/going-on")
def going_on() -> str:
    """How many transfers are left, once none is or after a while."""
    from twisted.internet import reactor

    from aprp.library.open_transfer import shared_by

    shared = shared_by(reactor)
    until = time.monotonic() + PATIENCE
    while shared.transfers and time.monotonic() < until:
        time.sleep(0.01)
    return str(shared.transfers)


if __name__ == "__main__":
    server = create_server(app, host="127.0.0.1", port=0, threads=4)
    print(server.effective_port, flush=True)
    server.run()
