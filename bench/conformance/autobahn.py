#!/usr/bin/env python3
"""Autobahn's WebSocket cases 1 to 7 and 10, through a gateway to Autobahn's own echo server, and to that server itself beside it.

Needs its `wstest`, which runs on Python 2.7: `pip2.7 install autobahntestsuite==0.8.2`; found on the path or given as WSTEST.
"""
import json, os, shutil, subprocess, sys
from collections import Counter

from gateway import Gateway, arguments, tell
from programs import port

CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
FINE = {"OK", "INFORMATIONAL", "NON-STRICT"}


def wstest():
    found = os.environ.get("WSTEST") or shutil.which("wstest")
    if not found or subprocess.run([found, "--autobahnversion"], capture_output=True).returncode:
        sys.exit(f"wstest is missing or does not run; it needs Python 2.7: pip2.7 install autobahntestsuite==0.8.2, or set WSTEST")
    return found


def main():
    options = arguments(__doc__).parse_args()
    program, echo = wstest(), port()
    # The suite says a port in its Host, and the target's own server wants to see its own.
    gateway = Gateway(options, f"""version: 1
targets: {{ echo: {{ url: http://127.0.0.1:{echo}, host: target }} }}
routes: [{{ name: all, path: /**, to: echo }}]
""")
    gateway.start(program, "-m", "echoserver", "-w", f"ws://127.0.0.1:{echo}", "-u", "0", at=echo, log="echo.log")
    with gateway:
        agents = {"gateway": gateway.at, "direct": echo}
        json.dump({"outdir": gateway.file("reports"), "cases": CASES, "exclude-cases": [], "exclude-agent-cases": {},
                   "servers": [{"agent": agent, "url": f"ws://127.0.0.1:{at}"} for agent, at in agents.items()]}, open(gateway.file("spec.json"), "w"))
        with open(gateway.file("client.log"), "w") as log:
            subprocess.run([program, "-m", "fuzzingclient", "-s", gateway.file("spec.json")], stdout=log, stderr=log, cwd=gateway.folder, timeout=500)
        found = json.load(open(gateway.file("reports/index.json")))
    behaved = {agent: Counter(case["behavior"] for case in found[agent].values()) for agent in agents}
    failed = [f"{name}: {case['behavior']}, closing {case['behaviorClose']}" for name, case in found["gateway"].items()
              if not {case["behavior"], case["behaviorClose"]} <= FINE]
    tell("Autobahn", options, f"{len(found['gateway'])} cases, {len(failed)} failed, {behaved['gateway']['NON-STRICT']} not strict "
         f"({behaved['direct']['NON-STRICT']} without a gateway)", failed)


if __name__ == "__main__":
    main()
