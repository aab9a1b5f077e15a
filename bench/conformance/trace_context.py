#!/usr/bin/env python3
"""The W3C trace-context suite against a gateway: the harness's requests and the service's call-backs all pass through it.

Needs `pip install aiohttp`, and the suite: `git clone https://github.com/w3c/trace-context`, given as --suite.
"""
import argparse, http.client, json, os, signal, socket, subprocess, sys, tempfile, threading, time, urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--suite", required=True, help="a checkout of w3c/trace-context")
    parser.add_argument("--banyan", default=os.path.join(os.path.dirname(__file__), "..", "..", "target", "debug", "banyan-gateway"))
    options = parser.parse_args()
    gateway_port, harness_port = port(), 7777

    class Service(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            for call in json.loads(self.rfile.read(int(self.headers["content-length"])) or b"[]"):
                path = urllib.parse.urlsplit(call["url"]).path
                body = json.dumps(call.get("arguments", [])).encode()
                # Each call-back is a call of its own, and passes the gateway like every other.
                client = http.client.HTTPConnection("127.0.0.1", gateway_port, timeout=10)
                client.putrequest("POST", path, skip_host=True)
                client.putheader("host", "harness.test")
                client.putheader("content-type", "application/json")
                client.putheader("content-length", str(len(body)))
                for name in ("traceparent", "tracestate"):
                    for value in self.headers.get_all(name) or []:
                        client.putheader(name, value)
                client.endheaders(body)
                client.getresponse().read()
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    service = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    policy = tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False)
    policy.write(f"""version: 1
trust: {{ networks: [127.0.0.0/8] }}
targets:
  service: {{ url: http://127.0.0.1:{service.server_port} }}
  harness: {{ url: http://127.0.0.1:{harness_port} }}
routes:
  - {{ name: test, path: /**, to: service }}
  - {{ name: back, host: harness.test, path: /**, to: harness }}
""")
    policy.close()
    gateway = subprocess.Popen([options.banyan, "run", "--policies", policy.name, "--listen", f"127.0.0.1:{gateway_port}", "--admin", "127.0.0.1:0",
                                "--workers", "1", "--access-log", "off"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", gateway_port), 0.2).close()
                break
            except OSError:
                time.sleep(0.05)
        env = {**os.environ, "SERVICE_ENDPOINT": f"http://127.0.0.1:{gateway_port}/test", "SPEC_LEVEL": "2"}
        done = subprocess.run([sys.executable, "test.py"], cwd=os.path.join(options.suite, "test"), env=env, timeout=300)
        sys.exit(done.returncode)
    finally:
        gateway.send_signal(signal.SIGTERM)
        gateway.wait(10)
        os.unlink(policy.name)


if __name__ == "__main__":
    main()
