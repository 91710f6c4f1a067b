"""A Flask service whose /profile profiles its own request with pyinstrument.

Its work is that of the bundled target: the same four functions over data of
the same kind, sized so that each takes about as much CPU time here as there,
and the same pause. /plain does it without the profiler.
"""

import hashlib
import json
import random
import time

from flask import Flask
from pyinstrument import Profiler

app = Flask(__name__)

_random = random.Random(20261123)
PAYLOAD = _random.randbytes(1400 << 10)
RECORDS = [
    {
        "id": _random.getrandbits(32),
        "name": f"record-{_random.randrange(1_000_000):06d}",
        "score": _random.random(),
        "tags": ["alpha", "beta", f"tag-{_random.randrange(100)}"],
    }
    for _ in range(1000)
]


def hash_payload():
    return hashlib.sha256(PAYLOAD).digest()


def record_order(record):
    """A call for every record, as Go's comparison is one."""
    return record["name"], record["id"]


def sort_records():
    for _ in range(3):
        ordered = sorted(RECORDS, key=record_order)
    return ordered[len(ordered) // 2]["id"]


def encode_records():
    for _ in range(3):
        text = json.dumps(RECORDS[:120])
        back = json.loads(text)
    return len(text) + back[0]["id"]


def grow(depth, value):
    if depth == 1:
        return (None, None, value)
    return (grow(depth - 1, 2 * value), grow(depth - 1, 2 * value + 1), value)


def total(node):
    if node is None:
        return 0
    return node[2] + total(node[0]) + total(node[1])


def grow_tree():
    return total(grow(12, 1))


def heavy_profile():
    """Computes for about 3 ms, then waits for 10."""
    hash_payload()
    sort_records()
    encode_records()
    grow_tree()
    time.sleep(0.010)


@app.get("/plain")
def plain():
    heavy_profile()
    return "done\n", {"Content-Type": "text/plain"}


@app.get("/profile")
def profile():
    profiler = Profiler()
    with profiler:
        heavy_profile()
    return profiler.output_text(), {"Content-Type": "text/plain"}
