#!/usr/bin/env python3
"""h2spec against a gateway, over TLS and on a plain port. Needs h2spec and openssl.

One case differs on the plain port: to a preface that is none, a server of HTTP/2 closes the connection. This port speaks
HTTP/1.1, too: for it the same bytes are a bad request, and get an answer that can be read, 400, before the end.
"""
import os, subprocess, threading, xml.etree.ElementTree
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gateway import Gateway, arguments, tell
from programs import need

DIFFERS = {"TLS": [], "plain": ["http2/3.5: Sends invalid connection preface"]}


class Service(BaseHTTPRequestHandler):
    """Answers whatever the method: reads the body, says a few words."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if "chunked" in self.headers.get("transfer-encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self.rfile.read(size + 2)
            while self.rfile.readline().strip():
                pass
        else:
            self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "5")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"hello")

    do_HEAD = do_POST = do_GET

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """The suite breaks off requests on purpose; so they end here, too."""


def play(gateway, *args):
    """Cases that passed, cases in all, and the names of those that did not."""
    report = gateway.file("report.xml")
    subprocess.run(["h2spec", "-h", "127.0.0.1", "-p", str(gateway.at), "-j", report, *args], capture_output=True, timeout=300)
    cases = [(suite.get("package"), case) for suite in xml.etree.ElementTree.parse(report).iter("testsuite") for case in suite.iter("testcase")]
    failed = [f"{package}: {case.get('classname')}" for package, case in cases if any(child.tag in ("failure", "error") for child in case)]
    passed = sum(len(case) == 0 for _, case in cases)
    return passed, len(cases), failed


def main():
    options = arguments(__doc__).parse_args()
    need("h2spec", "openssl")
    service = Server(("127.0.0.1", 0), Service)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    document = f"version: 1\ntargets: {{ web: {{ url: http://127.0.0.1:{service.server_port} }} }}\nroutes: [{{ name: all, path: /**, to: web }}]\n"
    told, wrong = [], []
    for way in ("TLS", "plain"):
        gateway = Gateway(options, document)
        if way == "TLS":
            certs = gateway.file("certs")
            os.mkdir(certs)
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                            "-keyout", f"{certs}/a.key", "-out", f"{certs}/a.crt"], check=True, capture_output=True)
            gateway.args = ["--listen-tls", f"127.0.0.1:{gateway.at}", "--certs", certs]
        with gateway:
            passed, cases, failed = play(gateway, *(["-t", "-k"] if way == "TLS" else []))
        told.append(f"{way} {passed} of {cases}")
        wrong += [f"{way}, {case}" for case in failed if case not in DIFFERS[way]]
    tell("h2spec", options, ", ".join(told), wrong)


if __name__ == "__main__":
    main()
