#!/usr/bin/env python3
"""What the sidecar costs: banyan-sidecar beside Envoy and nginx, in one run on one machine.

CPU microseconds per request (user + system of the proxies' processes), one thread each, pinned to core 1; the app that is
called and the load generator share core 0. Rounds are interleaved and their order alternates; the median counts. Read ratios
of one run, not absolute numbers. See README.md.
"""
import argparse, json, os, shutil, signal, socket, ssl, subprocess, sys, tempfile, threading, time
from statistics import median

import rounds
from programs import Process, Proxies, envoy, need, port, ready, wrk
from proxies import AT, ENVOY_FIELDS, TYPE

HERE = os.path.dirname(os.path.abspath(__file__))
DOMAIN = "shop.example"
ID = lambda name: f"spiffe://{DOMAIN}/ns/shop/sa/{name}"
TARGETS = 10
IDLE = 2000


class Authority:
    """One authority, and a workload's certificate for each of the two that talk."""

    def __init__(self, folder):
        self.path = lambda name: os.path.join(folder, name)
        self.make("ca", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign", [])
        for name in ("web", "order"):
            self.make(name, f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n"
                            f"subjectAltName=URI:{ID(name)}", ["-CA", self.path("ca.crt"), "-CAkey", self.path("ca.key")])

    def make(self, name, extensions, by):
        conf = self.path(f"{name}.conf")
        open(conf, "w").write(f"[req]\nprompt=no\ndistinguished_name=who\nx509_extensions=what\n[who]\nCN={name}\n[what]\n{extensions}\n")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-config", conf,
                        "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.crt")] + by, check=True, capture_output=True)


class Bench:
    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="banyan-bench-")
        self.authority = Authority(self.folder)
        self.apps = [port() for _ in range(TARGETS)]
        self.spans = {"banyan": self.apps[-1], "envoy": self.apps[-2]}
        self.app = self.start_app()

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        open(path, "w").write(text)
        return path

    def start_app(self):
        """What is called: ten addresses; `/seen` tells which trace came, `/fail` fails and counts. Spans go there, too."""
        listen = " ".join(f"listen 127.0.0.1:{at} backlog=4096;" for at in self.apps)
        conf = self.file("app.conf", f"""
daemon off; worker_processes 1; pid {self.folder}/app.pid; error_log /dev/null;
events {{ worker_connections 8192; }}
http {{ access_log off; log_format at $server_port; keepalive_requests 100000000; server {{ {listen}
 location / {{ return 200 "{'x' * 1024}"; }}
 location /seen {{ return 200 "$http_traceparent"; }}
 location /fail {{ access_log {self.folder}/failed.log; return 503; }}
 location /v1/traces {{ access_log {self.folder}/spans.log at; return 200; }} }} }}""")
        process = Process(["nginx", "-c", conf, "-p", self.folder], 0)
        ready(self.apps[0])
        return process

    # Banyan.

    def sidecar(self, name, document, *args, log=None):
        policies = self.file(f"{name}.yaml", json.dumps(document))
        args = [self.options.banyan, "run", "--policies", policies, "--threads", "1", "--access-log", log or "off",
                "--admin", f"127.0.0.1:{port()}", *args]
        return Process(args, 1, log=os.path.join(self.folder, f"{name}.log"))

    def own(self, name):
        path = self.authority.path
        return ["--certificate", path(f"{name}.crt"), "--key", path(f"{name}.key"), "--authorities", path("ca.crt")]

    def document(self, name, **more):
        return {"version": 1, "service": {"name": name, "url": f"http://127.0.0.1:{self.apps[0]}"}, **more}

    def banyan_calls(self, addresses, rich):
        targets = {f"t{n}": {"url": f"http://127.0.0.1:{at}"} for n, at in enumerate(self.apps[:len(addresses)])}
        calls = {f"t{n}": {"listen": f"127.0.0.1:{at}"} for n, at in enumerate(addresses)}
        if rich:
            for target in targets.values():
                target.update({"breaker": {"open_at": "50% of 20 in 10s", "stay_open": "5s"}, "bulkhead": {"max": 200, "queue": 200},
                               "outlier": {"failures": 5, "out_for": "30s"}})
            for call in calls.values():
                call.update({"deadline": "2s", "retry": {"attempts": 3, "on": ["connect", "reset", 502, 503, 504], "per_try": "700ms"}})
        return {"targets": targets, "calls": calls}

    def banyan(self, scenario):
        if scenario.startswith("mtls"):
            inner, at = port(), port()
            trust = {"trust": {"domain": DOMAIN}}
            callee = self.document("order", **trust, inbound={"mtls": "strict", "allow": "ns/shop/sa/web"})
            protocol = {"mtls-h1": "http1", "mtls-h2": "http2"}[scenario]
            caller = self.document("web", **trust, calls={"order": {"listen": f"127.0.0.1:{at}"}}, targets={
                "order": {"url": f"https://127.0.0.1:{inner}", "protocol": protocol, "tls": {"spiffe": ID("order")}}})
            second = self.sidecar("callee", callee, "--inbound", f"127.0.0.1:{inner}", *self.own("order"))
            ready(inner)
            return Proxies(at, self.sidecar("caller", caller, *self.own("web")), second)
        if scenario.startswith("inbound"):
            at, tls = port(), scenario == "inbound-mtls"
            document = self.document("order", trust={"domain": DOMAIN}, inbound={"mtls": "strict" if tls else "permissive"})
            return Proxies(at, self.sidecar("inbound", document, "--inbound", f"127.0.0.1:{at}", *(self.own("order") if tls else [])))
        rich = scenario != "plain"
        addresses = [port() for _ in range(TARGETS if scenario == "ten" else 1)]
        document = self.document("web", **self.banyan_calls(addresses, rich))
        if not rich:
            return Proxies(addresses[0], self.sidecar(scenario, document))
        log, spans = self.log("banyan"), ["--otlp", f"http://127.0.0.1:{self.spans['banyan']}"]
        if scenario == "ten":
            at = port()
            return Proxies(at, self.sidecar(scenario, document, "--outbound", f"127.0.0.1:{at}", *spans, log=log))
        return Proxies(addresses[0], self.sidecar(scenario, document, *spans, log=log), log=log)

    def log(self, peer):
        path = os.path.join(self.folder, f"{peer}-access.log")
        if os.path.exists(path):
            os.remove(path)
        return path

    # Envoy.

    def start_envoy(self, name, config):
        conf = self.file(f"{name}.json", json.dumps({"static_resources": config}))
        return Process([envoy(), "-c", conf, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"], 1,
                       log=os.path.join(self.folder, f"{name}.log"))

    def envoy_tls(self, way, own, other):
        path = self.authority.path
        common = {"tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
                  "alpn_protocols": ["h2", "http/1.1"] if way == "Downstream" else [],
                  "tls_certificates": [{"certificate_chain": {"filename": path(f"{own}.crt")}, "private_key": {"filename": path(f"{own}.key")}}],
                  "validation_context": {"trusted_ca": {"filename": path("ca.crt")}, "match_typed_subject_alt_names": [
                      {"san_type": "URI", "matcher": {"exact": ID(other)}}]}}
        config = {**TYPE(f"envoy.extensions.transport_sockets.tls.v3.{way}TlsContext"), "common_tls_context": common}
        if way == "Downstream":
            config["require_client_certificate"] = True
        return {"name": "tls", "typed_config": config}

    def envoy_listener(self, at, hosts, rich=False, tls=None, log=None):
        manager = {**TYPE("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"), "stat_prefix": "s",
                   "codec_type": "AUTO", "route_config": {"virtual_hosts": hosts},
                   "http_filters": [{"name": "router", "typed_config": TYPE("envoy.extensions.filters.http.router.v3.Router")}]}
        if rich:
            manager["access_log"] = [{"name": "file", "typed_config": {**TYPE("envoy.extensions.access_loggers.file.v3.FileAccessLog"),
                                      "path": log, "log_format": {"json_format": ENVOY_FIELDS}}}]
            # One request in a hundred, as ours by default.
            collector = {"uri": f"http://127.0.0.1:{self.spans['envoy']}/v1/traces", "cluster": "spans", "timeout": "1s"}
            manager["tracing"] = {"random_sampling": {"value": 1}, "provider": {"name": "otel", "typed_config": {
                **TYPE("envoy.config.trace.v3.OpenTelemetryConfig"), "service_name": "web", "http_service": {"http_uri": collector}}}}
        chain = {"filters": [{"name": "hcm", "typed_config": manager}]}
        if tls:
            chain["transport_socket"] = tls
        return {"name": f"l{at}", "address": AT(at), "filter_chains": [chain]}

    def envoy_host(self, name, cluster, rich=False):
        action = {"cluster": cluster}
        if rich:
            action.update({"timeout": "2s", "retry_policy": {"retry_on": "connect-failure,reset,gateway-error", "num_retries": 2, "per_try_timeout": "0.7s",
                                                           "retry_back_off": {"base_interval": "0.025s", "max_interval": "1s"}}})
        return {"name": cluster, "domains": [name], "routes": [{"name": cluster, "match": {"prefix": "/"}, "route": action}]}

    def envoy_cluster(self, name, at, rich=False, tls=None, h2=False):
        limits = {"max_connections": 10000, "max_requests": 100000, "max_pending_requests": 100000}
        cluster = {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": AT(at)}}]}]}}
        if rich:
            limits = {"max_connections": 200, "max_requests": 200, "max_pending_requests": 200, "retry_budget": {"budget_percent": {"value": 20}}}
            cluster["outlier_detection"] = {"consecutive_5xx": 5, "base_ejection_time": "30s", "max_ejection_percent": 50, "interval": "10s",
                                            "failure_percentage_threshold": 50, "enforcing_failure_percentage": 100,
                                            "failure_percentage_minimum_hosts": 1, "failure_percentage_request_volume": 20}
        if tls:
            cluster["transport_socket"] = tls
        if h2:
            cluster["typed_extension_protocol_options"] = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                **TYPE("envoy.extensions.upstreams.http.v3.HttpProtocolOptions"), "explicit_http_config": {"http2_protocol_options": {}}}}
        return {**cluster, "circuit_breakers": {"thresholds": [limits]}}

    def envoy(self, scenario):
        at = port()
        if scenario.startswith("mtls"):
            inner, h2 = port(), scenario == "mtls-h2"
            second = self.start_envoy("envoy-callee", {
                "listeners": [self.envoy_listener(inner, [self.envoy_host("*", "app")], tls=self.envoy_tls("Downstream", "order", "web"))],
                "clusters": [self.envoy_cluster("app", self.apps[0])]})
            ready(inner)
            first = self.start_envoy("envoy-caller", {
                "listeners": [self.envoy_listener(at, [self.envoy_host("*", "order")])],
                "clusters": [self.envoy_cluster("order", inner, tls=self.envoy_tls("Upstream", "web", "order"), h2=h2)]})
            return Proxies(at, first, second)
        tls = self.envoy_tls("Downstream", "order", "web") if scenario == "inbound-mtls" else None
        rich, count = scenario in ("rich", "ten"), TARGETS if scenario == "ten" else 1
        log = self.log("envoy") if rich else None
        hosts = [self.envoy_host(f"t{n}" if count > 1 else "*", f"t{n}", rich) for n in range(count)]
        process = self.start_envoy("envoy", {
            "listeners": [self.envoy_listener(at, hosts, rich, tls, log)],
            "clusters": [self.envoy_cluster(f"t{n}", self.apps[n], rich) for n in range(count)] + [self.envoy_cluster("spans", self.spans["envoy"])]})
        return Proxies(at, process, log=log)

    # nginx: plain whatever the scenario; the base.

    def start_nginx(self, name, servers, upstreams):
        pools = " ".join(f"upstream {n} {{ server 127.0.0.1:{at}; keepalive 512; keepalive_requests 100000000; }}" for n, at in upstreams.items())
        # Where memory is measured one process, as the others are: nothing is counted twice.
        conf = self.file(f"nginx-{name}.conf", f"""
daemon off; {'worker_processes 1' if name != 'alone' else 'master_process off'}; pid {self.folder}/nginx-{name}.pid; error_log /dev/null;
events {{ worker_connections 16384; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s; proxy_http_version 1.1; proxy_set_header Connection "";
 proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; {pools} {servers} }}""")
        return Process(["nginx", "-c", conf, "-p", self.folder], 1)

    def nginx_tls(self):
        path = self.authority.path
        return f"ssl_certificate {path('order.crt')}; ssl_certificate_key {path('order.key')}; " \
               f"ssl_client_certificate {path('ca.crt')}; ssl_verify_client on; ssl_protocols TLSv1.3;"

    def nginx(self, scenario):
        at, inner, path = port(), port(), self.authority.path
        server = lambda listen, to, more="": f"server {{ listen 127.0.0.1:{listen} backlog=4096; {more} location / {{ proxy_pass {to}; }} }}"
        if scenario == "mtls-h2":
            return None
        if scenario == "mtls-h1":
            second = self.start_nginx("callee", server(f"{inner} ssl", "http://app", self.nginx_tls()), {"app": self.apps[0]})
            ready(inner)
            proves = (f"proxy_ssl_certificate {path('web.crt')}; proxy_ssl_certificate_key {path('web.key')}; proxy_ssl_verify on; proxy_ssl_name order; "
                      f"proxy_ssl_trusted_certificate {path('ca.crt')}; proxy_ssl_protocols TLSv1.3;")
            return Proxies(at, self.start_nginx("caller", server(at, "https://order", proves), {"order": inner}), second)
        if scenario == "ten":
            servers = " ".join(server(at, f"http://t{n}", f"server_name t{n};") for n in range(TARGETS)).replace(" backlog=4096", "", TARGETS - 1)
            return Proxies(at, self.start_nginx("alone", servers, {f"t{n}": p for n, p in enumerate(self.apps)}))
        tls = scenario == "inbound-mtls"
        name = "alone" if scenario.startswith("inbound") or scenario == "start" else "nginx"
        return Proxies(at, self.start_nginx(name, server(f"{at} ssl" if tls else at, "http://app", self.nginx_tls() if tls else ""), {"app": self.apps[0]}))

    # What is measured.

    def get(self, at, path):
        out = subprocess.run(["curl", "-s", "-w", "\n%{http_code}", "-m", "5", f"http://127.0.0.1:{at}{path}"], capture_output=True, text=True).stdout
        body, status = out.rsplit("\n", 1)
        return status, body

    def check(self, scenario, peer, proxies):
        """The answer is right; and where retries and traces are asked for, they happen."""
        def holds(what, is_so):
            if not is_so:
                raise RuntimeError(f"{scenario}, {peer}: {what}")
        status, body = self.get(proxies.at, "/x")
        holds(f"{status} with {len(body)} bytes", status == "200" and len(body) == 1024)
        if scenario == "rich" and peer != "nginx":
            status, trace = self.get(proxies.at, "/seen")
            holds(f"the app saw the trace {trace!r}", status == "200" and trace.startswith("00-"))
            failed = os.path.join(self.folder, "failed.log")
            before = len(open(failed).readlines())
            status, _ = self.get(proxies.at, "/fail")
            tries = len(open(failed).readlines()) - before
            holds(f"{status} after {tries} attempts", status == "503" and tries == 3)

    def scenario(self, name, peers):
        """What each turn of each peer gave."""
        started = {}
        open(os.path.join(self.folder, "spans.log"), "w").close()
        try:
            for peer in peers:
                proxies = getattr(self, peer)(name)
                if proxies:
                    started[peer] = proxies
                    ready(proxies.at)
                    self.check(name, peer, proxies)
                    proxies.carried += wrk(f"http://127.0.0.1:{proxies.at}/x", 1)
            found = rounds.run(name, started, self.load, self.options)
            for peer, proxies in started.items():
                self.told(name, peer, proxies)
        finally:
            for proxies in started.values():
                proxies.stop()
        return found

    def load(self, _, proxies):
        requests = wrk(f"http://127.0.0.1:{proxies.at}/x", self.options.seconds)
        proxies.carried += requests
        return requests

    def told(self, scenario, peer, proxies):
        """Did the access log get its lines, and the collector spans?"""
        if proxies.log:
            time.sleep(1.5)
            if f"{self.spans[peer]}\n" not in open(os.path.join(self.folder, "spans.log")).readlines():
                print(f"  {scenario}, {peer}: no spans came", file=sys.stderr)
            missing = proxies.carried - proxies.lines()
            if missing > 0:
                print(f"  {scenario}, {peer}: {missing} of {proxies.carried} lines are missing in the access log", file=sys.stderr)

    def start(self, peer):
        proxies = getattr(self, peer)("start" if peer == "nginx" else "plain")
        try:
            ready(proxies.at)
            time.sleep(1.5)
            return proxies.kib("Rss") / 1024, proxies.kib("Pss") / 1024
        finally:
            proxies.stop()

    def ten(self, peer):
        """RSS with ten targets, at rest and the most of it under load."""
        proxies = getattr(self, peer)("ten")
        script = self.file("ten.lua", f"""local made = {{}}
init = function() for n = 0, {TARGETS - 1} do made[n] = wrk.format("GET", "/x", {{ Host = "t" .. n }}) end end
local n = 0
request = function() n = n + 1; return made[n % {TARGETS}] end""")
        try:
            ready(proxies.at)
            time.sleep(1.5)
            rest, under = proxies.kib("Rss"), []
            loading = threading.Thread(target=lambda: wrk(f"http://127.0.0.1:{proxies.at}/x", 4, script))
            loading.start()
            while loading.is_alive():
                under.append(proxies.kib("Rss"))
                time.sleep(0.2)
            return rest / 1024, max(under) / 1024
        finally:
            proxies.stop()

    def idle(self, peer, scenario):
        """KiB per connection that had one request and waits for the next."""
        proxies, held = getattr(self, peer)(scenario), []
        shows = ssl.create_default_context(cafile=self.authority.path("ca.crt"))
        shows.check_hostname = False
        shows.load_cert_chain(self.authority.path("web.crt"), self.authority.path("web.key"))

        def one():
            s = socket.create_connection(("127.0.0.1", proxies.at))
            if scenario == "inbound-mtls":
                s = shows.wrap_socket(s)
            held.append(rounds.answered(s, "/x", "order", f"{scenario}, {peer}"))
        try:
            ready(proxies.at)
            one()
            time.sleep(1)
            before = proxies.kib("Rss")
            for _ in range(IDLE):
                one()
            time.sleep(1.5)
            return (proxies.kib("Rss") - before) / IDLE
        finally:
            for s in held:
                s.close()
            proxies.stop()

    def close(self):
        self.app.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--banyan", default=os.path.join(HERE, "..", "target", "release", "banyan-sidecar"))
    rounds.arguments(parser)
    options = parser.parse_args()
    need("nginx", "wrk", "openssl")
    envoy()
    if not os.path.exists(options.banyan):
        sys.exit(f"{options.banyan} is missing: cargo build --release -p banyan-sidecar")
    everybody = ["banyan", "nginx", "envoy"]
    wanted = options.only.split(",") if options.only else ["plain", "rich", "mtls-h1", "mtls-h2", "memory"]
    # What was started is ended in any case.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    bench = Bench(options)
    try:
        if wanted != ["memory"]:
            print("| scenario | banyan | nginx | envoy | to nginx | to envoy | to envoy, by round | noise |\n|---|--:|--:|--:|--:|--:|--:|--:|")
        for name in wanted:
            if name == "memory":
                continue
            found = bench.scenario(name, everybody)
            costs = rounds.costs(found)
            shown = lambda peer: f"{rounds.middle(costs, peer):.1f}" if peer in costs[0] else ""
            ratio = lambda peer: f"{median(rounds.ratios(costs, 'banyan', peer)):.2f}" if peer in costs[0] else ""
            to_envoy = rounds.ratios(costs, "banyan", "envoy")
            print(f"| {name} | {shown('banyan')} | {shown('nginx')} | {shown('envoy')} | {ratio('nginx')} | {ratio('envoy')} "
                  f"| {min(to_envoy):.2f} to {max(to_envoy):.2f} | {rounds.noise(found):.0%} |", flush=True)
        if "memory" in wanted:
            print("\n| memory | banyan | nginx | envoy |\n|---|--:|--:|--:|")
            row = lambda what, values: print(f"| {what} | " + " | ".join(f"{value:.1f}" for value in values) + " |", flush=True)
            started = [bench.start(peer) for peer in everybody]
            row("RSS at start, MiB", [rss for rss, _ in started])
            row("PSS at start, MiB", [pss for _, pss in started])
            tens = [bench.ten(peer) for peer in everybody]
            row("RSS with ten targets, MiB", [rest for rest, _ in tens])
            row("RSS with ten targets under load, MiB", [under for _, under in tens])
            row(f"KiB per idle connection, {IDLE:,} of them", [bench.idle(peer, "inbound") for peer in everybody])
            row(f"KiB per idle connection with mTLS, {IDLE:,} of them", [bench.idle(peer, "inbound-mtls") for peer in everybody])
    finally:
        bench.close()


if __name__ == "__main__":
    main()
