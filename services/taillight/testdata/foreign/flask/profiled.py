"""The same shop with Pyroscope's profiler, set up as its documentation says."""

import os

import pyroscope
from opentelemetry import trace
from pyroscope.otel import PyroscopeSpanProcessor

from shop import app

pyroscope.configure(
    application_name=os.environ["OTEL_SERVICE_NAME"],
    server_address=os.environ["PYROSCOPE_SERVER_ADDRESS"],
    upload_interval=int(os.environ.get("PYROSCOPE_UPLOAD_INTERVAL", "10")),
)
trace.get_tracer_provider().add_span_processor(PyroscopeSpanProcessor())

__all__ = ["app"]
