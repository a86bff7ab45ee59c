"""A sender of orders over MLLP: `python -m tests.bench.mllp_load PORT CONNECTIONS MESSAGES` prints messages a second.

Each connection sends one message, waits for its acknowledgement, sends the next, as an interface engine does.
"""

from __future__ import annotations

import sys
import threading
import time

from adapters.hl7.content.framing import frame
from tests.hl7_samples import Client, order


def talk(port: int, name: int, count: int, ready: threading.Barrier, bad: list[bytes]) -> None:
    messages = [frame(order(f"{name}-{n}", pid=f"PID|1||{name}{n}^^^HOSP^MR||Muster^Erika")) for n in range(count)]
    with Client(port) as client:
        ready.wait()
        for number, message in enumerate(messages):
            client.send(message)
            (answer,) = client.answers()
            if f"MSA|AA|{name}-{number}".encode() not in answer:
                bad.append(answer)


def rate(port: int, connections: int, messages: int) -> float:
    """Messages acknowledged AA in a second. Raises AssertionError where one was answered otherwise."""
    ready, bad = threading.Barrier(connections + 1), list[bytes]()
    threads = [threading.Thread(target=talk, args=(port, name, messages // connections, ready, bad))
               for name in range(connections)]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    assert not bad, bad[0]
    return messages / took


if __name__ == "__main__":
    print(rate(*(int(argument) for argument in sys.argv[1:4])))
