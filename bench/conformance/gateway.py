"""The gateway a suite is played to: started with a document, on one of its two roads, and ended; and how the suite's counts are told."""
import argparse, os, shutil, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from programs import Process, port, ready

ROOT = os.path.dirname(os.path.dirname(HERE))
# Where suites and programs are kept that nobody packages.
KEPT = os.path.join(ROOT, "target", "conformance")


def arguments(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-path", choices=["short", "pingora"], help="the way through the gateway; its default if none is said")
    parser.add_argument("--banyan", default=os.path.join(ROOT, "target", "debug", "banyan-gateway"))
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and reports, and say where it is")
    return parser


class Gateway:
    """Serves `document` at `at`, in a folder of its own, until the block it stands in is left."""

    def __init__(self, options, document, *args):
        self.options, self.folder, self.at, self.started = options, tempfile.mkdtemp(prefix="banyan-conformance-"), port(), []
        self.document, self.args = document, [arg.replace("ADDRESS", f"127.0.0.1:{self.at}") for arg in args or ("--listen", "ADDRESS")]

    def file(self, name):
        return os.path.join(self.folder, name)

    def start(self, *args, at, log):
        """A program that belongs to it; ready when it listens."""
        self.started.append(Process(list(args), log=self.file(log)))
        ready(at)

    def __enter__(self):
        open(self.file("policies.yaml"), "w").write(self.document)
        road = ["--data-path", self.options.data_path] if self.options.data_path else []
        self.start(self.options.banyan, "run", "--policies", self.file("policies.yaml"), "--admin", "127.0.0.1:0", "--workers", "1",
                   "--access-log", self.file("access.log"), *road, *self.args, at=self.at, log="gateway.log")
        return self

    def __exit__(self, *_):
        for process in self.started:
            process.stop()
        if self.options.keep:
            print(f"  see {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def tell(suite, options, counts, failed):
    """One line; and the end, with what it means."""
    print(f"{suite:<14}{options.data_path or 'default':<9}{counts}", flush=True)
    for case in failed:
        print(f"  failed: {case}", flush=True)
    sys.exit(1 if failed else 0)
