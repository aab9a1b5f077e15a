"""Banyan, nginx, HAProxy and Envoy set up alike: one worker on core 1, the same routes, the same access log, one backend on core 0."""
import json, os, shutil, tempfile
from typing import NamedTuple

from keys import Keys
from programs import Process, Proxies, envoy, port, ready

AT = lambda p: {"socket_address": {"address": "127.0.0.1", "port_value": p}}
TYPE = lambda name: {"@type": f"type.googleapis.com/{name}"}
# What ours says of a request, in the words of the others.
ENVOY_FIELDS = {
    "time": "%START_TIME%", "method": "%REQ(:METHOD)%", "host": "%REQ(:AUTHORITY)%", "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "route": "%ROUTE_NAME%", "target": "%UPSTREAM_CLUSTER%", "endpoint": "%UPSTREAM_HOST%", "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%", "bytes_in": "%BYTES_RECEIVED%", "bytes_out": "%BYTES_SENT%", "ms": "%DURATION%",
    "upstream_ms": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "request_id": "%REQ(X-REQUEST-ID)%", "trace": "%TRACE_ID%", "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}
NGINX_FIELDS = json.dumps({
    "time": "$time_iso8601", "request_id": "$request_id", "client": "$remote_addr", "method": "$request_method", "host": "$host", "path": "$uri",
    "protocol": "$server_protocol", "status": "$status", "target": "$proxy_host", "endpoint": "$upstream_addr", "duration_s": "$request_time",
    "first_byte_s": "$upstream_header_time", "bytes_in": "$request_length", "bytes_out": "$body_bytes_sent", "user_agent": "$http_user_agent"})
HAPROXY_FIELDS = json.dumps({
    "time": "%tr", "request_id": "%ID", "client": "%ci", "method": "%HM", "path": "%HP", "protocol": "%HV", "status": "%ST", "target": "%b",
    "endpoint": "%si:%sp", "duration_ms": "%Ta", "first_byte_ms": "%Tr", "bytes_in": "%U", "bytes_out": "%B"})
EVERYBODY = ("nginx", "haproxy", "envoy")


class Scenario(NamedTuple):
    name: str
    tls: bool = False
    h2: bool = False
    # Bytes that are sent with a request.
    body: int = 0
    # How many routes; one for everything if none is said.
    routes: int = 0
    # Routes want a token signed by this, and hold each user to a limit.
    alg: str = ""
    # Who can do it, beside us.
    peers: tuple = EVERYBODY

    def scheme(self):
        return "https" if self.tls else "http"


class Stage:
    """A folder with everybody's settings, and the backend they share: 1 KiB, whatever is asked."""

    def __init__(self, banyan):
        self.banyan = banyan
        # Logs go to memory where there is enough of it: a disk would add work of its own.
        roomy = os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 4 << 30
        self.folder = tempfile.mkdtemp(prefix="banyan-bench-", dir="/dev/shm" if roomy else None)
        # Apart from the documents: their folder is watched.
        os.mkdir(os.path.join(self.folder, "logs"))
        self.keys, self.backend_port = Keys(self.folder), port()
        conf = self.file("backend.conf", f"""
daemon off; worker_processes 1; pid {self.folder}/backend.pid; error_log /dev/null;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; server {{ listen 127.0.0.1:{self.backend_port} backlog=4096;
 location / {{ return 200 "{'x' * 1024}"; }} }} }}""")
        self.backend = Process(["nginx", "-c", conf, "-p", self.folder], 0)
        ready(self.backend_port)

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        open(path, "w").write(text)
        return path

    def log(self, name):
        path = os.path.join(self.folder, "logs", f"{name}.log")
        open(path, "w").close()
        return path

    def close(self):
        self.backend.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, peer, scenario):
        """One of the others by its name; ours by the way a request takes through it."""
        if peer in EVERYBODY:
            return getattr(self, peer)(scenario)
        return self.ours(scenario, peer)

    def ours(self, scenario, data_path):
        at, admin, name = port(), port(), f"banyan-{scenario.name}-{scenario.routes}-{data_path}"
        # Admission counts what is under way, as in earnest; the bound is out of reach.
        web = {"url": f"http://127.0.0.1:{self.backend_port}", "overload": {"min": 1000, "start": 1000, "max": 1000}}
        routes = [{"name": f"r{n}", "path": f"/r{n}/**", "to": "web"} for n in range(scenario.routes)]
        document = {"version": 1, "targets": {"web": web}, "routes": routes or [{"name": "rest", "path": "/**", "to": "web"}]}
        if scenario.alg:
            key = {"secret": {"env": "BENCH_SECRET"}} if scenario.alg == "HS256" else {"keys": self.keys.public(scenario.alg)}
            document["identities"] = {"bench": {"issuer": "bench", "audience": "bench", **key}}
            for route in routes:
                route.update({"require": {"jwt": "bench"}, "limit": {"per": "user", "rate": "100000000/s", "burst": 100000000}})
        log = self.log(f"{name}-access")
        args = [self.banyan, "run", "--policies", self.file(f"{name}.yaml", json.dumps(document)), "--workers", "1", "--access-log", log,
                "--admin", f"127.0.0.1:{admin}", "--connections-max", "20000", "--connections-per-address-max", "20000"]
        args += [] if data_path == "default" else ["--data-path", data_path]
        args += ["--listen-tls", f"127.0.0.1:{at}", "--certs", self.keys.path("certs")] if scenario.tls else ["--listen", f"127.0.0.1:{at}"]
        return Proxies(at, Process(args, 1, {"BENCH_SECRET": self.keys.secret}, self.log(name)), log=log, admin=admin)

    def nginx(self, scenario):
        at, name = port(), f"nginx-{scenario.name}"
        listen = f"127.0.0.1:{at}{' ssl' * scenario.tls}{' http2' * scenario.h2} backlog=4096"
        cert = f"ssl_certificate {self.keys.path('tls.crt')}; ssl_certificate_key {self.keys.path('tls.key')};" if scenario.tls else ""
        log = self.log(f"{name}-access")
        conf = self.file(f"{name}.conf", f"""
daemon off; worker_processes 1; pid {self.folder}/{name}.pid; error_log /dev/null;
events {{ worker_connections 16384; }}
http {{ log_format all escape=json '{NGINX_FIELDS}'; access_log {log} all buffer=64k flush=1s; keepalive_requests 100000000;
 upstream web {{ server 127.0.0.1:{self.backend_port}; keepalive 512; keepalive_requests 100000000; }}
 server {{ listen {listen}; {cert} location / {{ proxy_pass http://web; proxy_http_version 1.1; proxy_set_header Connection "";
 proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}""")
        return Proxies(at, Process(["nginx", "-c", conf, "-p", self.folder], 1), log=log)

    def haproxy_rules(self, scenario):
        if not scenario.alg:
            return ""
        key = f'"{self.keys.secret}"' if scenario.alg == "HS256" else f'"{self.keys.public(scenario.alg)}"'
        paths = self.file("haproxy.map", "".join(f"/r{n}/ web\n" for n in range(scenario.routes)))
        return f"""
  http-request set-var(txn.bearer) http_auth_bearer
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
  http-request deny deny_status 401 unless {{ var(txn.bearer) -m found }}
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str {scenario.alg} }}
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

    def haproxy(self, scenario):
        at, name = port(), f"haproxy-{scenario.name}"
        speaks = f" ssl crt {self.keys.path('tls.pem')} alpn h2,http/1.1" if scenario.tls else " proto h2" if scenario.h2 else ""
        conf = self.file(f"{name}.cfg", f"""
global
  nbthread 1
  maxconn 8000
  fd-hard-limit 20000
  log stdout format raw local0
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend f
  bind 127.0.0.1:{at}{speaks} backlog 4096
  log global
  unique-id-format %rt-%pid-%ts
  log-format '{HAPROXY_FIELDS}'
  option forwardfor{self.haproxy_rules(scenario)}
  default_backend web
backend web
  http-reuse always
  server w 127.0.0.1:{self.backend_port} pool-max-conn 512
""")
        # It writes its log where we say, line by line.
        log = self.log(name)
        return Proxies(at, Process(["haproxy", "-db", "-f", conf], 1, log=log), log=log)

    def envoy_host(self, scenario):
        route = {"match": {"prefix": "/"}, "route": {"cluster": "web"}}
        if not scenario.alg:
            return {"name": "all", "domains": ["*"], "routes": [route]}
        action = {"action": {"name": "r", "typed_config": {**TYPE("envoy.config.route.v3.Route"), **route}}}
        path = {"name": "path", "typed_config": {**TYPE("envoy.type.matcher.v3.HttpRequestHeaderMatchInput"), "header_name": ":path"}}
        return {"name": "all", "domains": ["*"], "matcher": {"matcher_tree": {
            "input": path, "prefix_match_map": {"map": {f"/r{n}/": action for n in range(scenario.routes)}}}}}

    def envoy_filters(self, scenario):
        router = {"name": "router", "typed_config": TYPE("envoy.extensions.filters.http.router.v3.Router")}
        if not scenario.alg:
            return [router]
        provider = {"issuer": "bench", "audiences": ["bench"], "local_jwks": {"inline_string": json.dumps(self.keys.jwks())},
                    "jwt_cache_config": {"jwt_cache_size": 1000}}
        return [{"name": "jwt", "typed_config": {
            **TYPE("envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"), "providers": {"bench": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}]}}, router]

    def envoy(self, scenario):
        at, name = port(), f"envoy-{scenario.name}"
        log = self.log(f"{name}-access")
        manager = {**TYPE("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"), "stat_prefix": "s",
                   "codec_type": "AUTO", "route_config": {"virtual_hosts": [self.envoy_host(scenario)]}, "http_filters": self.envoy_filters(scenario),
                   "access_log": [{"name": "file", "typed_config": {**TYPE("envoy.extensions.access_loggers.file.v3.FileAccessLog"), "path": log,
                                                                  "log_format": {"json_format": ENVOY_FIELDS}}}]}
        chain = {"filters": [{"name": "hcm", "typed_config": manager}]}
        if scenario.tls:
            certificate = {"certificate_chain": {"filename": self.keys.path("tls.crt")}, "private_key": {"filename": self.keys.path("tls.key")}}
            chain["transport_socket"] = {"name": "tls", "typed_config": {
                **TYPE("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"),
                "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [certificate]}}}
        endpoints = [{"lb_endpoints": [{"endpoint": {"address": AT(self.backend_port)}}]}]
        limits = {"max_connections": 10000, "max_requests": 100000, "max_pending_requests": 100000}
        conf = self.file(f"{name}.json", json.dumps({"static_resources": {
            "listeners": [{"name": "l", "address": AT(at), "filter_chains": [chain]}],
            "clusters": [{"name": "web", "type": "STATIC", "load_assignment": {"cluster_name": "web", "endpoints": endpoints},
                          "circuit_breakers": {"thresholds": [limits]}}]}}))
        args = [envoy(), "-c", conf, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart", "--file-flush-interval-msec", "1000"]
        return Proxies(at, Process(args, 1, log=self.log(name)), log=log)
