#!/usr/bin/env bash
# h2spec against a gateway, over TLS. Needs h2spec (go install github.com/summerwind/h2spec/cmd/h2spec@latest), openssl, python3.
set -euo pipefail
banyan=${BANYAN:-$(dirname "$0")/../../target/debug/banyan-gateway}
folder=$(mktemp -d)
mkdir "$folder/certs" "$folder/web" && head -c 2048 /dev/zero > "$folder/web/index.html"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$folder/certs/a.key" -out "$folder/certs/a.crt" 2>/dev/null
free() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
web=$(free) tls=$(free)
# Answers whatever the method: reads the body, says a few words.
python3 - "$web" 2>/dev/null <<'P' & service=$!
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class H(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if "chunked" in self.headers.get("transfer-encoding", ""):
            while int(self.rfile.readline().strip() or b"0", 16):
                self.rfile.readline()
            self.rfile.readline()
        else:
            self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200); self.send_header("content-length", "5"); self.end_headers(); self.wfile.write(b"hello")
    do_POST = do_GET
    def do_HEAD(self):
        self.send_response(200); self.send_header("content-length", "5"); self.end_headers()
    def log_message(self, *_): pass
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
P
printf 'version: 1\ntargets: { web: { url: http://127.0.0.1:%s } }\nroutes: [{ name: all, path: /**, to: web }]\n' "$web" > "$folder/p.yaml"
"$banyan" run --policies "$folder/p.yaml" --listen-tls "127.0.0.1:$tls" --certs "$folder/certs" --admin 127.0.0.1:0 --workers 1 --access-log off 2>/dev/null & gateway=$!
trap 'kill $service $gateway 2>/dev/null; rm -rf "$folder"' EXIT
sleep 1
h2spec -t -k -h 127.0.0.1 -p "$tls" > "$folder/out" || failed=yes
sed -n '/^Failures/,$p; /tests,/p' "$folder/out" | awk '!seen[$0]++'
test -z "${failed:-}"
