#!/usr/bin/env python3
"""What a request costs: the gateway beside nginx, HAProxy and Envoy, in one run on one machine.

CPU microseconds per request (user + system of a proxy's processes), one worker pinned to core 1; backend and load generator
share core 0. Everybody writes an access log. Medians of interleaved rounds; a ratio is the median of the rounds' own ratios.
See README.md.
"""
import argparse, json, os, re, signal, socket, subprocess, sys, time, urllib.request
from statistics import median

import rounds
from programs import Proxies, envoy, from_core_0, h2load, need, ready, wrk
from proxies import EVERYBODY, Scenario, Stage

HERE = os.path.dirname(os.path.abspath(__file__))
ROADS = ["short", "pingora"]
PLAIN, FEW, MANY = Scenario("plain"), Scenario("routes", routes=10), Scenario("routes", routes=100000)
SCENARIOS = [
    PLAIN, Scenario("h2c", h2=True), Scenario("h2", tls=True, h2=True), Scenario("post", body=500), Scenario("tls", tls=True),
    *(Scenario(f"rich-{alg}", alg=alg, routes=1000, peers=("haproxy", "envoy")) for alg in ("HS256", "RS256", "ES256"))]
# At most so many times what this peer costs; so many times ten routes; KiB; milliseconds more than nginx adds.
WANTED = {"plain": ("nginx", 1.25), "h2c": ("nginx", 1.0), "h2": ("nginx", 1.0), "post": ("nginx", 1.3), "tls": ("nginx", 1.15),
          "rich-HS256": ("haproxy", 1.0), "rich-RS256": ("haproxy", 1.0), "rich-ES256": ("haproxy", 1.0)}
WANTED_ROUTES, WANTED_IDLE, WANTED_ADDED = 1.1, 2.0, 0.02
IDLE, RATE = 5000, 2000


def verdict(value, wanted):
    return "met" if value <= wanted else "missed"


def head(*cells):
    row(*cells)
    print("|--" * 2 + "|--:" * (len(cells) - 2) + "|")


def row(*cells):
    print("| " + " | ".join(cells) + " |", flush=True)


class Bench:
    def __init__(self, options, ours):
        self.options, self.ours, self.stage = options, ours, Stage(options.banyan)

    # Load, and whether it is answered as it should be.

    def script(self, scenario):
        name = f"{scenario.name}-{scenario.routes}.lua"
        if scenario.alg:
            tokens = ",\n".join(f'"{token}"' for token in self.stage.keys.tokens(scenario.alg))
            return self.stage.file(name, f"""tokens = {{ {tokens} }}
n = 0
request = function() n = n + 1
  return wrk.format("GET", "/r" .. (n * 7 % {scenario.routes}) .. "/x", {{ ["Authorization"] = "Bearer " .. tokens[n % #tokens + 1] }})
end""")
        if scenario.routes:
            return self.stage.file(name, f"n = 0\nrequest = function() n = (n + 7919) % {scenario.routes} return wrk.format('GET', '/r' .. n .. '/x') end\n")
        if scenario.body:
            return self.stage.file(name, f"wrk.method = 'POST'\nwrk.body = string.rep('y', {scenario.body})\n")
        return None

    def load(self, scenario, proxies, seconds):
        url = f"{scenario.scheme()}://127.0.0.1:{proxies.at}/r1/x"
        requests = h2load(url, seconds) if scenario.h2 else wrk(url, seconds, self.script(scenario))
        proxies.carried += requests
        return requests

    def steady(self, proxies):
        out = from_core_0(sys.executable, os.path.join(HERE, "steady.py"), str(proxies.at), "--rate", str(RATE), "--seconds", str(self.options.seconds))
        found = json.loads(out[-1])
        proxies.carried += found["requests"]
        return found

    def check(self, scenario, peer, proxies):
        speaks = "--http1.1" if not scenario.h2 else "--http2" if scenario.tls else "--http2-prior-knowledge"
        body = ["-d", "y" * scenario.body] if scenario.body else []
        expected = [([], right := f"200 {2 if scenario.h2 else 1.1} 1024")]
        if scenario.alg:
            token = self.stage.keys.tokens(scenario.alg)[0]
            expected = [(["-H", f"Authorization: Bearer {token}"], right), ([], "401"), (["-H", f"Authorization: Bearer {token[:-6]}AAAAAA"], "401")]
        for fields, answer in expected:
            args = ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code} %{http_version} %{size_download}", "-m", "5", speaks, *body, *fields]
            found = subprocess.run([*args, f"{scenario.scheme()}://127.0.0.1:{proxies.at}/r1/x"], capture_output=True, text=True).stdout
            if not found.startswith(answer):
                raise RuntimeError(f"{scenario.name}, {peer}: {found} instead of {answer}")
            proxies.carried += 1

    def told(self, scenario, peer, proxies):
        """Is every request in the access log, and ours in the metrics?"""
        until = time.time() + 5
        while proxies.lines() < proxies.carried and time.time() < until:
            time.sleep(0.2)
        missing = proxies.carried - proxies.lines()
        if missing > 0:
            print(f"  {scenario}, {peer}: {missing} of {proxies.carried} lines are missing in the access log", file=sys.stderr)
        if proxies.admin:
            metrics = urllib.request.urlopen(f"http://127.0.0.1:{proxies.admin}/metrics", timeout=5).read().decode()
            counted = sum(float(count) for count in re.findall(r"^banyan_requests_total\S* (\S+)$", metrics, re.M))
            if counted < proxies.carried:
                raise RuntimeError(f"{scenario}, {peer}: {counted:.0f} requests of {proxies.carried} were counted")

    # What is measured.

    def rounds(self, name, scenarios, load, **more):
        """Starts a proxy for each peer, {peer: scenario}, checks it, warms it, and loads all in rounds."""
        started = {}
        try:
            for peer, scenario in scenarios.items():
                proxies = started[peer] = self.stage.start(peer.split()[0], scenario)
                ready(proxies.at)
                self.check(scenario, peer, proxies)
                self.load(scenario, proxies, 1)
            found = rounds.run(name, {**more, **started}, load, self.options)
            for peer, proxies in started.items():
                self.told(name, peer, proxies)
            return found
        finally:
            for proxies in started.values():
                proxies.stop()

    def costs(self, scenario):
        found = self.rounds(scenario.name, {peer: scenario for peer in (*self.ours, *scenario.peers)},
                            lambda _, proxies: self.load(scenario, proxies, self.options.seconds))
        costs = rounds.costs(found)
        cost = lambda peer: f"{rounds.middle(costs, peer):.1f}" if peer in costs[0] else ""
        base, wanted = WANTED[scenario.name]
        for ours in self.ours:
            times = lambda peer: f"{median(rounds.ratios(costs, ours, peer)):.2f}" if peer in costs[0] else ""
            each = rounds.ratios(costs, ours, base)
            row(scenario.name, ours, cost(ours), *map(cost, EVERYBODY), *map(times, EVERYBODY), f"{min(each):.2f} to {max(each):.2f}",
                f"{wanted} of {base}: {verdict(median(each), wanted)}", f"{rounds.noise(found):.0%}")

    def routes(self):
        scenarios = {f"{ours} {scenario.routes}": scenario for ours in self.ours for scenario in (FEW, MANY)}
        found = self.rounds("routes", scenarios, lambda name, proxies: self.load(scenarios[name], proxies, self.options.seconds))
        costs = rounds.costs(found)
        head("scenario", "data path", f"{FEW.routes} routes", f"{MANY.routes:,} routes", "ratio", "by round", "wanted", "noise")
        for ours in self.ours:
            few, many = (f"{ours} {scenario.routes}" for scenario in (FEW, MANY))
            each = rounds.ratios(costs, many, few)
            row("routes", ours, f"{rounds.middle(costs, few):.1f}", f"{rounds.middle(costs, many):.1f}", f"{median(each):.2f}",
                f"{min(each):.2f} to {max(each):.2f}", f"{WANTED_ROUTES}: {verdict(median(each), WANTED_ROUTES)}", f"{rounds.noise(found):.0%}")

    def latency(self):
        """Milliseconds of a request at a steady rate, beside the backend without a proxy."""
        peers = (*self.ours, *EVERYBODY)
        found = self.rounds("latency", dict.fromkeys(peers, PLAIN), lambda _, proxies: self.steady(proxies), direct=Proxies(self.stage.backend_port))
        added = {(peer, at): median(turns[peer].gave[at] - turns["direct"].gave[at] for turns in found) for peer in peers for at in ("p50", "p99")}
        head("latency, ms", "", "p50", "p99", "p50 added", "p99 added", "wanted", "noise")
        for peer in ("direct", *peers):
            p50, p99 = (median(turns[peer].gave[at] for turns in found) for at in ("p50", "p99"))
            more = [f"{added[peer, at]:.3f}" for at in ("p50", "p99")] if peer in peers else ["", ""]
            wanted = added["nginx", "p50"] + WANTED_ADDED
            told = f"p50 {wanted:.3f}: {verdict(added[peer, 'p50'], wanted)}" if peer in self.ours else ""
            row("latency", peer, f"{p50:.3f}", f"{p99:.3f}", *more, told, f"{median(turns[peer].noise for turns in found):.0%}")

    def memory(self):
        peers = (*self.ours, *EVERYBODY)
        found = [{peer: self.idle(peer) for peer in peers} for _ in range(min(3, self.options.rounds))]
        head("memory", "", "MiB at start (PSS)", f"private KiB per idle connection, {IDLE:,} of them", "wanted")
        for peer in peers:
            start, each = (median(turns[peer][n] for turns in found) for n in (0, 1))
            row("memory", peer, f"{start:.1f}", f"{each:.2f}", f"{WANTED_IDLE}: {verdict(each, WANTED_IDLE)}" if peer in self.ours else "")

    def idle(self, peer):
        """MiB at start, and the growth for each connection that had one request and waits for the next."""
        proxies, held = self.stage.start(peer, PLAIN), []

        def one():
            s = socket.create_connection(("127.0.0.1", proxies.at))
            held.append(rounds.answered(s, "/r1/x", "a", f"idle, {peer}"))
        own = lambda: proxies.kib("Private_Clean", "Private_Dirty")
        try:
            ready(proxies.at)
            time.sleep(1)
            start = proxies.kib("Pss")
            one()
            time.sleep(1)
            before = own()
            for _ in range(IDLE):
                one()
            time.sleep(1.5)
            return start / 1024, (own() - before) / IDLE
        finally:
            for s in held:
                s.close()
            proxies.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--banyan", default=os.path.join(HERE, "..", "target", "release", "banyan-gateway"))
    rounds.arguments(parser)
    parser.add_argument("--data-path", choices=ROADS, default=os.environ.get("BANYAN_DATA_PATH", "default"), help="the way through ours")
    parser.add_argument("--roads", action="store_true", help="both ways through ours, beside each other")
    options = parser.parse_args()
    need("nginx", "haproxy", "wrk", "h2load", "openssl")
    envoy()
    if not os.path.exists(options.banyan):
        sys.exit(f"{options.banyan} is missing: cargo build --release -p banyan-gateway")
    wanted = options.only.split(",") if options.only else [*WANTED, "routes", "latency", "memory"]
    # What was started is ended in any case.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    bench = Bench(options, ROADS if options.roads else [options.data_path])
    try:
        requests = [scenario for scenario in SCENARIOS if scenario.name in wanted]
        if requests:
            head("scenario", "data path", "banyan", *EVERYBODY, *(f"to {peer}" for peer in EVERYBODY), "by round", "wanted", "noise")
        for scenario in requests:
            bench.costs(scenario)
        for table in ("routes", "latency", "memory"):
            if table in wanted:
                print()
                getattr(bench, table)()
    finally:
        bench.stage.close()


if __name__ == "__main__":
    main()
