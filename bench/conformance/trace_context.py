#!/usr/bin/env python3
"""The W3C trace-context suite, level 2, against a gateway: the harness's requests and the service's call-backs all pass through it.

Needs `pip install aiohttp`, and the suite: `git clone https://github.com/w3c/trace-context`, at target/conformance or given as --suite.
"""
import http.client, json, os, re, subprocess, sys, threading, urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gateway import KEPT, Gateway, arguments, tell
from programs import port


def service(gateway):
    """Calls back whom it is told to, with the trace it was given."""

    class Service(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            for call in json.loads(self.rfile.read(int(self.headers["content-length"])) or b"[]"):
                path = urllib.parse.urlsplit(call["url"]).path
                body = json.dumps(call.get("arguments", [])).encode()
                # Each call-back is a call of its own, and passes the gateway like every other.
                client = http.client.HTTPConnection("127.0.0.1", gateway.at, timeout=10)
                client.putrequest("POST", path, skip_host=True)
                client.putheader("host", "harness.test")
                client.putheader("content-type", "application/json")
                client.putheader("content-length", str(len(body)))
                for name in ("traceparent", "tracestate"):
                    for value in self.headers.get_all(name) or []:
                        client.putheader(name, value)
                client.endheaders(body)
                client.getresponse().read()
                client.close()
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def main():
    parser = arguments(__doc__)
    parser.add_argument("--suite", default=os.path.join(KEPT, "trace-context"), help="a checkout of w3c/trace-context")
    options = parser.parse_args()
    if not os.path.exists(os.path.join(options.suite, "test", "test.py")):
        sys.exit(f"the suite is missing: git clone https://github.com/w3c/trace-context {options.suite}")
    gateway, harness = Gateway(options, ""), port()
    gateway.document = f"""version: 1
trust: {{ networks: [127.0.0.0/8] }}
targets:
  service: {{ url: http://127.0.0.1:{service(gateway)} }}
  harness: {{ url: http://127.0.0.1:{harness} }}
routes:
  - {{ name: test, path: /**, to: service }}
  - {{ name: back, host: harness.test, path: /**, to: harness }}
"""
    with gateway:
        env = {**os.environ, "SERVICE_ENDPOINT": f"http://127.0.0.1:{gateway.at}/test", "SPEC_LEVEL": "2", "HARNESS_PORT": str(harness)}
        told = subprocess.run([sys.executable, "test.py"], cwd=os.path.join(options.suite, "test"), env=env, timeout=300, capture_output=True, text=True).stderr
    cases = re.search(r"^Ran (\d+) tests", told, re.M)
    failed = re.findall(r"^(?:FAIL|ERROR): (\S+)", told, re.M)
    if not cases:
        sys.exit(f"the suite did not run:\n{told}")
    tell("trace-context", options, f"{cases[1]} cases, {len(failed)} failed", failed)


if __name__ == "__main__":
    main()
