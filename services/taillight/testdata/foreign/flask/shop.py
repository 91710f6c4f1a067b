"""A shop that knows nothing of tests, traces or profiles."""

import hashlib
import time

from flask import Flask

app = Flask(__name__)


def price_order(number):
    """Works for some milliseconds."""
    digest = str(number).encode()
    for _ in range(8000):
        digest = hashlib.sha256(digest).digest()
    return digest.hex()[:8]


@app.get("/orders/<int:number>")
def order(number):
    time.sleep(0.002)
    return {"order": number, "price": price_order(number)}
