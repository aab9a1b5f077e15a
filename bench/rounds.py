"""Rounds: all peers run at once and are loaded in turns, in an order that alternates. Ratios are taken within a round."""
import sys, time
from collections import namedtuple
from statistics import median

from programs import busy, quiet

# What a turn gave, the processor time the peer used for it in seconds, and the share of its core that others used meanwhile.
Turn = namedtuple("Turn", "gave cpu noise")


def arguments(parser):
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=2, help="how long one peer is loaded at a time")
    parser.add_argument("--noise", type=float, default=0.1, help="the share of the proxy's core that others may use; a noisier round is repeated")
    parser.add_argument("--patience", type=int, default=20, help="seconds to wait for quiet cores before each measurement")
    parser.add_argument("--each", action="store_true", help="tell every measurement, to standard error")
    parser.add_argument("--only", default="", help="scenarios, with commas")


def run(scenario, peers, load, options):
    """A list of {peer: Turn}, where `load` gives what a peer was given. A noisy round is made again, as long as tries are left: there are twice as many as rounds, and one."""
    rounds, tries = [], 0
    while len(rounds) < options.rounds:
        order, tries = list(peers.items()), tries + 1
        found = {}
        for name, peer in order if tries % 2 else order[::-1]:
            quiet(options.patience)
            began, before, worked = time.time(), peer.cpu(), busy(1)
            gave = load(name, peer)
            used, took = peer.cpu() - before, time.time() - began
            found[name] = Turn(gave, used, max(0, (busy(1) - worked - used) / took))
            if options.each:
                print(f"  {scenario}, {name}: {gave} with {used:.2f} s of the processor in {took:.2f} s, noise {found[name].noise:.0%}",
                      file=sys.stderr, flush=True)
        if max(turn.noise for turn in found.values()) <= options.noise or tries > 2 * options.rounds:
            rounds.append(found)
    return rounds


def answered(s, path, host, of):
    """A connection on which one request has been made, and its answer read to the backend's last bytes."""
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\n\r\n".encode())
    got = b""
    while not got.endswith(b"x" * 64):
        part = s.recv(65536)
        if not part:
            raise RuntimeError(f"{of}: {got!r}")
        got += part
    return s


def costs(rounds):
    """Microseconds a request: [{peer: cost}]."""
    return [{peer: turn.cpu / turn.gave * 1e6 for peer, turn in found.items()} for found in rounds]


def middle(found, peer):
    return median(values[peer] for values in found)


def ratios(found, peer, to):
    return [values[peer] / values[to] for values in found]


def noise(rounds):
    return median(turn.noise for found in rounds for turn in found.values())
