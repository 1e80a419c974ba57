"""A proxy between a client and the daemon that changes nothing and writes down every exchange, whole.

    recorder.py UPSTREAM RECORDS        prints its own address; each exchange becomes a line of JSON in RECORDS

A client is given the address `…/CLIENT/CASE`, to which it appends the routes; so a record knows whose it is."""

import base64
import contextlib
import http.client
import http.server
import json
import pathlib
import sys
import threading
import urllib.parse
from typing import Any

HOP_BY_HOP = {"connection", "host", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"}
SECONDS_A_REQUEST = 300


class Recorder(http.server.ThreadingHTTPServer):
    """Where exchanges go to, and where they are written down."""

    daemon_threads = True

    def __init__(self, upstream: str, records: pathlib.Path) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        address = urllib.parse.urlsplit(upstream)
        self.upstream = (address.hostname or "", address.port or 80)
        self.records = records
        self.lock = threading.Lock()

    def keep(self, record: dict[str, Any]) -> None:
        with self.lock, self.records.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


class Exchange(http.server.BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: Recorder

    def log_message(self, *_arguments: Any) -> None:
        pass

    def body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def forward(self) -> None:
        _, client, case, route = self.path.split("/", 3)
        sent = self.body()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        headers["content-length"] = str(len(sent))
        upstream = http.client.HTTPConnection(*self.server.upstream, timeout=SECONDS_A_REQUEST)
        # Who is refused may hear so before everything is sent.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            upstream.request(self.command, f"/{route}", sent, headers)
        response = upstream.getresponse()
        record = {
            "client": client,
            "case": case,
            "method": self.command,
            "route": f"/{route}",
            "content_type": self.headers.get("content-type", ""),
            "request": base64.b64encode(sent).decode(),
            "status": response.status,
            "answer_type": response.headers.get("content-type", ""),
        }
        received = []
        try:
            self.send_response_only(response.status)
            for name, value in response.getheaders():
                if name.lower() not in HOP_BY_HOP | {"content-length"}:
                    self.send_header(name, value)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            while piece := response.read1(1 << 16):
                received.append(piece)
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
        finally:
            # Written down before the client sees the end, so that whatever it says next finds the record.
            record["answer"] = b"".join(received).decode()
            self.server.keep(record)
            upstream.close()
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_DELETE = forward


def main() -> None:
    recorder = Recorder(sys.argv[1], pathlib.Path(sys.argv[2]))
    print(f"http://127.0.0.1:{recorder.server_port}", flush=True)
    recorder.serve_forever()


if __name__ == "__main__":
    main()
