#!/usr/bin/env bash
# Varnish: a chunked POST with a trailer reaches the backend completely, but the client gets 503.
#
# A trailer after the last chunk is plain HTTP/1.1; senders add one for a checksum of the stream.
# Varnish forwards the body with its last chunk, and the backend replies with 200. Varnish discards
# that reply and returns `503 Backend fetch failed`; without the trailer, the client gets the 200.
# After a 503 from a proxy, senders assume that the request was not processed, so the sender repeats
# a processed request every time. Needs a C compiler, because Varnish compiles its configuration.
#
# Seen with Varnish 7.1.1 (Debian 12, 7.1.1-2+deb12u1):
#   without trailer: HTTP/1.1 200 OK; the backend read hello and answered 200
#   with trailer: HTTP/1.1 503 Backend fetch failed; the backend read hello and answered 200
set -euo pipefail

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
chmod 755 "$directory"
(
    cd "$directory"
    apt-get download -qq varnish=7.1.1-2+deb12u1 libvarnishapi3=7.1.1-2+deb12u1 libjemalloc2=5.3.0-1 2> /dev/null
    for package in *.deb; do dpkg -x "$package" root; done
)

cat > "$directory/try.py" <<'PYTHON'
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

directory = pathlib.Path(sys.argv[1])
libraries = directory / "root/usr/lib/x86_64-linux-gnu"
backend = socket.create_server(("127.0.0.1", 0))
served = []


def serve():
    while True:
        connection, _ = backend.accept()
        with connection, connection.makefile("rb") as request:
            while request.readline().strip():
                pass
            body = b""
            while size := int(request.readline(), 16):
                body += request.read(size)
                request.readline()
            request.readline()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            served.append(body.decode())


threading.Thread(target=serve, daemon=True).start()
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
configuration = directory / "try.vcl"
configuration.write_text(f"""
vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{backend.getsockname()[1]}"; }}
""")
program = [directory / "root/usr/sbin/varnishd", "-F", "-a", f"127.0.0.1:{port}", "-f", configuration,
           "-n", directory / "work", "-s", "default,8m", "-p", f"vmod_path={libraries}/varnish/vmods"]
environment = {**os.environ, "LD_LIBRARY_PATH": f"{libraries}:{libraries}/varnish"}
process = subprocess.Popen(program, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def connect():
    for _ in range(300):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=30)
        except ConnectionRefusedError:
            time.sleep(0.2)
    raise SystemExit("Varnish does not listen")


def send(announcement, trailer):
    served.clear()
    with connect() as connection:
        head = b"POST /hook HTTP/1.1\r\nHost: hooks.example.com\r\nTransfer-Encoding: chunked\r\n" + announcement
        connection.sendall(head + b"\r\n5\r\nhello\r\n0\r\n" + trailer + b"\r\n")
        status = connection.makefile("rb").readline().decode().strip()
    for _ in range(50):
        if served:
            break
        time.sleep(0.1)
    backend_side = f"the backend read {served[0]} and answered 200" if served else "the backend read nothing"
    return f"{status}; {backend_side}"


try:
    print("without trailer:", send(b"", b""))
    print("with trailer:", send(b"Trailer: X-Check\r\n", b"X-Check: 1\r\n"))
finally:
    process.terminate()
    process.wait(30)
PYTHON

seen=$(timeout 180 python3 "$directory/try.py" "$directory")
expected='without trailer: HTTP/1.1 200 OK; the backend read hello and answered 200
with trailer: HTTP/1.1 503 Backend fetch failed; the backend read hello and answered 200'
printf 'Varnish 7.1.1-2+deb12u1\n%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    printf 'the behaviour has changed; expected:\n%s\n' "$expected" >&2
    exit 1
fi
