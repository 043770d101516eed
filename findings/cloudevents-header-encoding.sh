#!/bin/sh
# The CloudEvents SDK for JavaScript does not percent-encode attributes in headers; the SDK for
# Python does.
#
# Software:  cloudevents 2.2.0 (PyPI), cloudevents 10.0.0 (npm)
# Expected: in binary mode both send the same headers for the same event (HTTP protocol binding
# 1.0.2, section 3.1.3.2: `%`, spaces, quotes and characters outside ASCII are percent-encoded, and
# decoded once by the receiver).
# Behaviour: the SDK for Python encodes. The SDK for JavaScript sends the text unchanged, and
# Node.js writes it as Latin-1.
# Impact: a receiver that follows the specification reads the id `50%25` from JavaScript as `50%`,
# but in structured mode as `50%25`: the same event has two ids.
# Remedy: use structured mode with the SDK for JavaScript, or no `%` in ids and sources. creel
# decodes as specified, and reads header values that are not UTF-8 as Latin-1.
#
# Output seen:
#   python: ce-id 50%2525, ce-type com.example.gr%C3%B6%C3%9Fe
#   javascript: ce-id 50%25, ce-type com.example.gr\xf6\xdfe
set -eu

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
trap 'exit 1' INT TERM
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check cloudevents==2.2.0
npm install --silent --no-audit --no-fund --prefix . cloudevents@10.0.0 >/dev/null

venv/bin/python - <<'END'
from cloudevents.core.bindings.http import to_binary_event
from cloudevents.core.v1.event import CloudEvent

attributes = {"id": "50%25", "source": "/s", "type": "com.example.größe", "specversion": "1.0"}
headers = to_binary_event(CloudEvent(attributes=attributes, data={})).headers
print(f"python: ce-id {headers['ce-id']}, ce-type {headers['ce-type']}")
assert (headers["ce-id"], headers["ce-type"]) == ("50%2525", "com.example.gr%C3%B6%C3%9Fe"), "changed"
END

node - <<'END'
const net = require("net");
const { CloudEvent, emitterFor, httpTransport } = require(process.cwd() + "/node_modules/cloudevents");

// A plain socket, so that the bytes are seen.
const server = net.createServer((socket) => {
  let head = "";
  socket.setEncoding("latin1");
  socket.on("data", (bytes) => {
    if (head) return;
    head = bytes;
    const value = (name) => head.match(new RegExp(`^${name}: (.*)\r$`, "im"))[1];
    const id = value("ce-id");
    const type = value("ce-type").replace(/[^ -~]/g, (byte) => "\\x" + byte.charCodeAt(0).toString(16));
    console.log(`javascript: ce-id ${id}, ce-type ${type}`);
    const isSame = id === "50%25" && type === "com.example.gr\\xf6\\xdfe";
    if (!isSame) console.log("changed");
    socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    process.exit(isSame ? 0 : 1);
  });
});
server.listen(0, "127.0.0.1", () => {
  const emit = emitterFor(httpTransport(`http://127.0.0.1:${server.address().port}/`));
  const event = new CloudEvent({ id: "50%25", source: "/s", type: "com.example.größe", data: {} });
  emit(event).catch(() => {});
});
END
