#!/usr/bin/env python3
"""What a request costs: Banyan beside nginx, HAProxy and Envoy, in one run on one machine.

CPU microseconds per request (user + system of the proxy's processes), one worker pinned to core 1; backend and load
generator share core 0. Rounds are interleaved; the median counts. Read ratios, not absolute numbers. See README.md.
"""
import argparse, base64, hashlib, hmac, json, os, shutil, socket, statistics, subprocess, sys, tempfile, time

from programs import Process, envoy, need, port, ready, wrk

HERE = os.path.dirname(os.path.abspath(__file__))


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Keys:
    """A key of each kind, and 256 tokens signed with it."""

    def __init__(self, folder):
        self.folder, self.secret = folder, "0123456789abcdef0123456789abcdef0123456789abcdef"
        run = lambda *a: subprocess.run(a, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.path = lambda n: os.path.join(folder, n)
        run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.path("rs.key"))
        run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.path("es.key"))
        for kind in ("rs", "es"):
            run("openssl", "pkey", "-in", self.path(kind + ".key"), "-pubout", "-out", self.path(kind + ".pem"))
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
            "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", self.path("tls.key"), "-out", self.path("tls.crt"))
        open(self.path("tls.pem"), "w").write(open(self.path("tls.crt")).read() + open(self.path("tls.key")).read())
        os.makedirs(self.path("certs"), exist_ok=True)
        shutil.copy(self.path("tls.crt"), self.path("certs/localhost.crt"))
        shutil.copy(self.path("tls.key"), self.path("certs/localhost.key"))

    def jwks(self):
        modulus = subprocess.run(["openssl", "rsa", "-in", self.path("rs.key"), "-noout", "-modulus"], capture_output=True, text=True).stdout
        n = bytes.fromhex(modulus.strip().split("=")[1])
        der = subprocess.run(["openssl", "pkey", "-in", self.path("es.key"), "-pubout", "-outform", "DER"], capture_output=True).stdout
        x, y = der[-64:-32], der[-32:]
        return {"keys": [
            {"kty": "RSA", "alg": "RS256", "kid": "RS256", "n": b64(n), "e": "AQAB"},
            {"kty": "EC", "alg": "ES256", "kid": "ES256", "crv": "P-256", "x": b64(x), "y": b64(y)},
            {"kty": "oct", "alg": "HS256", "kid": "HS256", "k": b64(self.secret.encode())}]}

    def sign(self, alg, text):
        if alg == "HS256":
            return hmac.new(self.secret.encode(), text, hashlib.sha256).digest()
        key = self.path(alg[:2].lower() + ".key")
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=text, capture_output=True, check=True).stdout
        if alg == "RS256":
            return signature
        length = signature[3]
        r, s = signature[4:4 + length], signature[6 + length:]
        return r[-32:].rjust(32, b"\0") + s[-32:].rjust(32, b"\0")

    def tokens(self, alg, count=256):
        head = b64(json.dumps({"alg": alg, "typ": "JWT", "kid": alg}).encode())
        for n in range(count):
            claims = {"iss": "bench", "aud": "bench", "sub": f"user-{n}", "exp": int(time.time()) + 36000}
            text = f"{head}.{b64(json.dumps(claims).encode())}"
            yield f"{text}.{b64(self.sign(alg, text.encode()))}"


class Bench:
    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="banyan-bench-")
        self.keys = Keys(self.folder)
        self.backend_port = port()
        self.backend = self.start_backend()

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        open(path, "w").write(text)
        return path

    def start_backend(self):
        body = os.path.join(self.folder, "body")
        os.makedirs(body, exist_ok=True)
        conf = self.file("backend.conf", f"""
daemon off; worker_processes 1; pid {self.folder}/backend.pid; error_log /dev/null;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; server {{ listen 127.0.0.1:{self.backend_port} backlog=4096;
 location / {{ return 200 "{'x' * 1024}"; }} }} }}""")
        process = Process(["nginx", "-c", conf, "-p", self.folder], 0)
        ready(self.backend_port)
        return process

    # Each peer: a process on core 1 and the port it listens on.
    def banyan(self, scenario):
        at, admin = port(), port()
        document = {"version": 1, "targets": {"web": {"url": f"http://127.0.0.1:{self.backend_port}"}}}
        routes = [{"name": "rest", "path": "/**", "to": "web"}]
        if scenario.startswith("rich"):
            alg = scenario.split("-")[1]
            identity = {"issuer": "bench", "audience": "bench"}
            identity.update({"secret": {"env": "BENCH_SECRET"}} if alg == "HS256" else {"keys": self.keys.path(alg[:2].lower() + ".pem")})
            document["identities"] = {"bench": identity}
            routes = [{"name": f"r{n}", "path": f"/r{n}/**", "to": "web", "require": {"jwt": "bench"},
                       "limit": {"per": "user", "rate": "100000000/s", "burst": 100000000}} for n in range(1000)]
        elif scenario.startswith("routes"):
            routes = [{"name": f"r{n}", "path": f"/r{n}/**", "to": "web"} for n in range(int(scenario[6:]))]
        document["routes"] = routes
        policy = self.file(f"banyan-{scenario}.yaml", json.dumps(document))
        args = [self.options.banyan, "run", "--policies", policy, "--workers", "1", "--access-log", "off", "--admin", f"127.0.0.1:{admin}",
                "--connections-max", "20000", "--connections-per-address-max", "20000"]
        args += ["--listen-tls", f"127.0.0.1:{at}", "--certs", self.keys.path("certs")] if scenario in ("tls", "h2") else ["--listen", f"127.0.0.1:{at}"]
        self.policy = policy
        return Process(args, 1, {"BENCH_SECRET": self.keys.secret}, os.path.join(self.folder, "banyan.log")), at

    def nginx(self, scenario):
        if scenario.startswith(("rich", "routes")):
            return None
        at = port()
        tls = scenario in ("tls", "h2")
        listen = f"127.0.0.1:{at}" + (" ssl" if tls else "") + (" http2" if scenario == "h2" else "")
        cert = f"ssl_certificate {self.keys.path('tls.crt')}; ssl_certificate_key {self.keys.path('tls.key')};" if tls else ""
        conf = self.file("nginx.conf", f"""
daemon off; worker_processes 1; pid {self.folder}/nginx.pid; error_log /dev/null;
events {{ worker_connections 16384; }}
http {{ access_log off; keepalive_requests 100000000; upstream web {{ server 127.0.0.1:{self.backend_port}; keepalive 512; keepalive_requests 100000000; }}
 server {{ listen {listen} backlog=4096; {cert} location / {{ proxy_pass http://web; proxy_http_version 1.1; proxy_set_header Connection "";
 proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}""")
        return Process(["nginx", "-c", conf, "-p", self.folder], 1), at

    def haproxy(self, scenario):
        if scenario.startswith("routes"):
            return None
        at = port()
        bind = f"127.0.0.1:{at}" + (f" ssl crt {self.keys.path('tls.pem')} alpn h2,http/1.1" if scenario in ("tls", "h2") else "")
        rules = ""
        if scenario.startswith("rich"):
            alg = scenario.split("-")[1]
            key = f'"{self.keys.secret}"' if alg == "HS256" else f'"{self.keys.path(alg[:2].lower() + ".pem")}"'
            paths = self.file("haproxy.map", "".join(f"/r{n}/ web\n" for n in range(1000)))
            rules = f"""
  http-request set-var(txn.bearer) http_auth_bearer
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
  http-request deny deny_status 401 unless {{ var(txn.bearer) -m found }}
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str {alg} }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_payload_query('$.iss') -m str bench }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_payload_query('$.aud') -m str bench }}
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,{key}) 1 }}
  http-request set-var(txn.sub) var(txn.bearer),jwt_payload_query('$.sub')
  stick-table type string len 64 size 100k expire 60s store http_req_rate(10s)
  http-request track-sc0 var(txn.sub)
  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 1000000000 }}
  use_backend %[path,map_beg({paths})]"""
        conf = self.file("haproxy.cfg", f"""
global
  nbthread 1
  maxconn 8000
  fd-hard-limit 20000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend f
  bind {bind} backlog 4096
  option forwardfor{rules}
  default_backend web
backend web
  http-reuse always
  server w 127.0.0.1:{self.backend_port} pool-max-conn 512
""")
        return Process(["haproxy", "-db", "-f", conf], 1, log=os.path.join(self.folder, "haproxy.log")), at

    def envoy(self, scenario):
        if scenario.startswith("routes"):
            return None
        at = port()
        route = {"match": {"prefix": "/"}, "route": {"cluster": "web"}}
        host = {"name": "all", "domains": ["*"], "routes": [route]}
        filters = []
        if scenario.startswith("rich"):
            action = lambda: {"action": {"name": "r", "typed_config": {"@type": "type.googleapis.com/envoy.config.route.v3.Route", **route}}}
            host = {"name": "all", "domains": ["*"], "matcher": {"matcher_tree": {
                "input": {"name": "path", "typed_config": {"@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": ":path"}},
                "prefix_match_map": {"map": {f"/r{n}/": action() for n in range(1000)}}}}}
            filters = [{"name": "jwt", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
                "providers": {"bench": {"issuer": "bench", "audiences": ["bench"], "local_jwks": {"inline_string": json.dumps(self.keys.jwks())},
                                        "jwt_cache_config": {"jwt_cache_size": 1000}}},
                "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}]}}]
        filters.append({"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}})
        manager = {"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                   "stat_prefix": "s", "codec_type": "AUTO", "route_config": {"virtual_hosts": [host]}, "http_filters": filters}
        chain = {"filters": [{"name": "hcm", "typed_config": manager}]}
        if scenario in ("tls", "h2"):
            chain["transport_socket"] = {"name": "tls", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": {
                    "alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [{"certificate_chain": {"filename": self.keys.path("tls.crt")},
                                                                            "private_key": {"filename": self.keys.path("tls.key")}}]}}}
        address = lambda p: {"socket_address": {"address": "127.0.0.1", "port_value": p}}
        config = {"static_resources": {
            "listeners": [{"name": "l", "address": address(at), "filter_chains": [chain]}],
            "clusters": [{"name": "web", "type": "STATIC", "load_assignment": {"cluster_name": "web", "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": address(self.backend_port)}}]}]},
                "circuit_breakers": {"thresholds": [{"max_connections": 10000, "max_requests": 100000, "max_pending_requests": 100000}]}}]}}
        conf = self.file("envoy.json", json.dumps(config))
        return Process([envoy(), "-c", conf, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"], 1,
                       log=os.path.join(self.folder, "envoy.log")), at

    def wrk_script(self, scenario):
        if scenario.startswith("routes"):
            count = int(scenario[6:])
            return self.file("wrk.lua", f"n = 0\nrequest = function() n = (n + 7919) % {count} return wrk.format('GET', '/r' .. n .. '/x') end\n")
        if not scenario.startswith("rich"):
            return None
        tokens = ",\n".join(f'"{token}"' for token in self.tokens(scenario.split("-")[1]))
        return self.file("wrk.lua", f"""tokens = {{ {tokens} }}
n = 0
request = function() n = n + 1
  return wrk.format("GET", "/r" .. (n * 7 % 1000) .. "/x", {{ ["Authorization"] = "Bearer " .. tokens[n % #tokens + 1] }})
end""")

    def tokens(self, alg):
        if not hasattr(self, "made"):
            self.made = {}
        if alg not in self.made:
            self.made[alg] = list(self.keys.tokens(alg))
        return self.made[alg]

    def curl(self, scheme, at, path, *fields):
        args = ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "-m", "5", f"{scheme}://127.0.0.1:{at}{path}"]
        for field in fields:
            args += ["-H", field]
        return subprocess.run(args, capture_output=True, text=True).stdout

    def check(self, scenario, at):
        scheme = "https" if scenario in ("tls", "h2") else "http"
        if scenario.startswith("rich"):
            token = self.tokens(scenario.split("-")[1])[0]
            expected = [("/r1/x", ["Authorization: Bearer " + token], "200"), ("/r1/x", [], "401"),
                        ("/r1/x", ["Authorization: Bearer " + token[:-6] + "AAAAAA"], "401")]
        else:
            expected = [("/r1/x", [], "200")]
        for path, fields, status in expected:
            found = self.curl(scheme, at, path, *fields)
            if found != status:
                raise RuntimeError(f"{scenario}: {path} {['with', 'without'][not fields]} a token: {found} instead of {status}")

    def load(self, scenario, at, seconds):
        if scenario == "h2":
            out = subprocess.run(["taskset", "-c", "0", "h2load", "-c", "8", "-m", "16", "-D", str(seconds), f"https://127.0.0.1:{at}/r1/x"],
                                 capture_output=True, text=True).stdout
            line = next(line for line in out.splitlines() if line.startswith("requests:"))
            done, failed = int(line.split(",")[3].split()[0]) if "succeeded" in line.split(",")[3] else 0, 0
            return done
        scheme = "https" if scenario == "tls" else "http"
        return wrk(f"{scheme}://127.0.0.1:{at}/r1/x", seconds, self.wrk_script(scenario))

    def scenario(self, name, peers):
        costs = {peer: [] for peer in peers}
        for rnd in range(self.options.rounds):
            for peer in (peers if rnd % 2 == 0 else peers[::-1]):
                started = getattr(self, peer)(name)
                if started is None:
                    continue
                process, at = started
                try:
                    ready(at)
                    self.check(name, at)
                    self.load(name, at, 1)
                    before = process.cpu()
                    requests = self.load(name, at, self.options.seconds)
                    costs[peer].append((process.cpu() - before) / requests * 1e6)
                finally:
                    process.stop()
        return {peer: statistics.median(values) for peer, values in costs.items() if values}

    def memory(self, peers):
        rows = {}
        for peer in peers:
            process, at = getattr(self, peer)("plain")
            try:
                ready(at)
                time.sleep(1)
                start = process.kib("Pss")
                held, per = [], {}
                for count in (1000, 5000):
                    while len(held) < count:
                        s = socket.create_connection(("127.0.0.1", at))
                        s.sendall(b"GET /r1/x HTTP/1.1\r\nHost: a\r\nUser-Agent: bench\r\n\r\n")
                        got = b""
                        while not got.endswith(b"x" * 64):
                            part = s.recv(65536)
                            if not part:
                                break
                            got += part
                        held.append(s)
                    time.sleep(1)
                    per[count] = (process.kib("Pss") - start) / count
                rows[peer] = (start / 1024, per[1000], per[5000])
                for s in held:
                    s.close()
            finally:
                process.stop()
        return rows

    def close(self):
        self.backend.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--banyan", default=os.path.join(HERE, "..", "target", "release", "banyan-gateway"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", default="", help="scenarios, with commas")
    options = parser.parse_args()
    need("nginx", "haproxy", "wrk", "h2load", "openssl")
    envoy()
    if not os.path.exists(options.banyan):
        sys.exit(f"{options.banyan} is missing: cargo build --release -p banyan-gateway")
    everybody = ["banyan", "nginx", "haproxy", "envoy"]
    scenarios = ["plain", "rich-HS256", "rich-RS256", "rich-ES256", "tls", "h2", "routes10", "routes100000", "memory"]
    wanted = options.only.split(",") if options.only else scenarios
    bench = Bench(options)
    try:
        print("CPU microseconds per request, median; ratios to nginx and to envoy\n")
        print(f"{'scenario':<14}" + "".join(f"{peer:>10}" for peer in everybody) + "   x nginx  x envoy")
        for name in wanted:
            if name == "memory":
                continue
            found = bench.scenario(name, ["banyan"] if name.startswith("routes") else everybody)
            ratio = lambda peer: f"{found['banyan'] / found[peer]:9.2f}" if peer in found else f"{'':>9}"
            print(f"{name:<14}" + "".join(f"{found[peer]:10.1f}" if peer in found else f"{'':>10}" for peer in everybody)
                  + ratio("nginx") + ratio("envoy"), flush=True)
        if "memory" in wanted:
            print("\nmemory (PSS)   at start MiB   KiB per idle connection at 1,000   at 5,000")
            for peer, (start, one, five) in bench.memory(everybody).items():
                print(f"{peer:<14}{start:13.1f}{one:35.1f}{five:11.1f}", flush=True)
    finally:
        bench.close()


if __name__ == "__main__":
    main()
