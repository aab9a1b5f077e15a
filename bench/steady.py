#!/usr/bin/env python3
"""A steady rate of requests over connections that are kept, and how long their answers took: milliseconds, as JSON.

A request is due at its time, whatever became of those before it, and its latency counts from then: a proxy that stalls is
charged for everybody who had to wait meanwhile (no coordinated omission).
"""
import argparse, ctypes, gc, json, select, socket, time
from collections import deque

PR_SET_TIMERSLACK = 29


class Call:
    """A connection, and what has come of the answer it waits for."""

    def __init__(self, at):
        self.socket = socket.create_connection(("127.0.0.1", at))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due, self.got = 0, b""

    def fileno(self):
        return self.socket.fileno()

    def is_over(self):
        """Reads on. Is the answer whole?"""
        part = self.socket.recv(65536)
        self.got += part
        head, end, body = self.got.partition(b"\r\n\r\n")
        if not part or (end and not head.startswith(b"HTTP/1.1 200")):
            raise RuntimeError(f"not an answer: {self.got[:200]!r}")
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] if end else b""
        if not length or len(body) < int(length):
            return False
        self.got = b""
        return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    # Wakes when it asked to, and not 50 microseconds later; and never pauses to collect garbage.
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1)
    gc.disable()
    request = b"GET /r1/x HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: steady\r\n\r\n"
    free, waiting, took, sent = deque(Call(options.port) for _ in range(options.connections)), set(), [], 0
    # What the first half second takes is not counted: connections are made, pools filled.
    warm, total, now = options.rate // 2, options.rate * options.seconds + options.rate // 2, time.perf_counter
    begin = now() + 0.05
    while len(took) < total:
        while sent < total and free and now() >= begin + sent / options.rate:
            call = free.popleft()
            call.due, sent = begin + sent / options.rate, sent + 1
            call.socket.sendall(request)
            waiting.add(call)
        next_due = begin + sent / options.rate if sent < total and free else now() + 5
        readable = select.select(waiting, [], [], max(0, next_due - now()))[0]
        if not readable and now() > begin + total / options.rate + 5:
            raise RuntimeError(f"{len(waiting)} answers never came")
        for call in readable:
            if call.is_over():
                took.append(now() - call.due)
                waiting.remove(call)
                free.append(call)
    took = sorted(took[warm:])
    at = lambda share: took[int(len(took) * share)] * 1e3
    print(json.dumps({"requests": total, "p50": at(0.5), "p99": at(0.99), "max": took[-1] * 1e3}))


if __name__ == "__main__":
    main()
