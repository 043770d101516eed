#!/bin/sh
# The Standard Webhooks library for Python accepts a URL-safe base64 secret and silently derives a
# different key from it.
#
# Software:  standardwebhooks 1.1.0 (PyPI), standardwebhooks 1.1.1 (npm)
# Expected: a secret in URL-safe base64, such as Python's secrets.token_urlsafe generates, is either
# decoded as URL-safe base64 or rejected.
# Behaviour: the library for Python decodes with base64.b64decode, which skips all characters
# outside its alphabet: each `-` and `_` is dropped, so the key is shorter than the secret and
# different. The library verifies its own signatures. The library for JavaScript rejects the same
# secret.
# Impact: if both sides use Python, tests pass. With a sender or receiver in another language, every
# signature is wrong, although both sides have the same secret.
# Remedy: secrets of Standard Webhooks are standard base64 with `+`, `/` and padding; `creel secret
# --whsec` prints one.
#
# Output seen:
#   python: 24 bytes of secret, 18 bytes of key
#   python verifies its own signature
#   node rejects the secret: Base64Coder: incorrect characters for decoding
set -eu

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
trap 'exit 1' INT TERM
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check standardwebhooks==1.1.0
npm install --silent --no-audit --no-fund --prefix . standardwebhooks@1.1.1 >/dev/null

# 24 bytes in URL-safe base64; every fourth character is `-`.
secret=whsec_ab-dab-dab-dab-dab-dab-dab-dab-d

venv/bin/python - "$secret" <<'END'
import base64, sys
from datetime import datetime, timezone
from standardwebhooks import Webhook

secret = sys.argv[1]
whole = base64.urlsafe_b64decode(secret.removeprefix("whsec_"))
webhook = Webhook(secret)
key = webhook._whsecret
print(f"python: {len(whole)} bytes of secret, {len(key)} bytes of key")
assert (len(whole), len(key)) == (24, 18), "changed"

now = datetime.now(timezone.utc)
signature = webhook.sign("msg_1", now, '{"a": 1}')
headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
webhook.verify('{"a": 1}', headers)
print("python verifies its own signature")
END

node - "$secret" <<'END'
const { Webhook } = require(process.cwd() + "/node_modules/standardwebhooks");
try {
  new Webhook(process.argv[2]);
} catch (error) {
  console.log(`node rejects the secret: ${error.message}`);
  process.exit(0);
}
console.log("changed: node takes the secret");
process.exit(1);
END
