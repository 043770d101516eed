#!/usr/bin/env bash
# Whop uses the headers of Standard Webhooks with another key, and its two official SDKs expect the
# secret in different forms.
#
# Standard Webhooks decodes the secret from base64. Whop signs with the text of the secret,
# including the prefix `ws_`. Its Python SDK expects the secret as the dashboard shows it. Its
# TypeScript SDK passes the secret unchanged to the `standardwebhooks` library, which decodes it, so
# the application must configure btoa(secret). With the same secret in the environment, the same
# message is accepted in one language and rejected in the other.
#
# Seen with whop-sdk 2.6.0 (PyPI), @whop/sdk 0.0.42 and standardwebhooks 1.1.1 (npm). The message is
# signed with the text of the secret
# `ws_6d7574696e672d7468652d7365637265742d666f722d7468652d74657374`:
#   python secret: accepted
#   python btoa(secret): rejected
#   typescript secret: rejected
#   typescript btoa(secret): accepted
set -euo pipefail

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
python3 -m venv "$directory/venv"
"$directory/venv/bin/pip" install --quiet --disable-pip-version-check whop-sdk==2.6.0 standardwebhooks==1.1.0
cd "$directory"
npm install --silent --no-audit --no-fund --ignore-scripts @whop/sdk@0.0.42 standardwebhooks@1.1.1 > /dev/null

cat > sign.py <<'PYTHON'
import base64
import hashlib
import hmac
import json
import time

secret = "ws_6d7574696e672d7468652d7365637265742d666f722d7468652d74657374"
body = '{"id":"msg_1","api_version":"v1","type":"payment.succeeded","data":{}}'
stamp = str(int(time.time()))
tag = hmac.new(secret.encode(), f"msg_1.{stamp}.{body}".encode(), hashlib.sha256).digest()
signature = "v1," + base64.b64encode(tag).decode()
headers = {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": signature}
with open("message.json", "w") as file:
    json.dump({"secret": secret, "body": body, "headers": headers}, file)
PYTHON

cat > verify.py <<'PYTHON'
import base64
import json

from whop_sdk.lib.verify_webhook import WebhookVerificationError, unwrap

message = json.load(open("message.json"))
secret = message["secret"]
for name, key in [("secret", secret), ("btoa(secret)", base64.b64encode(secret.encode()).decode())]:
    try:
        unwrap(message["body"], headers=message["headers"], key=key)
        print(f"python {name}: accepted")
    except WebhookVerificationError:
        print(f"python {name}: rejected")
PYTHON

cat > verify.mjs <<'JAVASCRIPT'
import { readFileSync } from "node:fs";
import { Whop } from "@whop/sdk";

const { secret, body, headers } = JSON.parse(readFileSync("message.json", "utf8"));
const client = new Whop({ apiKey: "none" });
for (const [name, key] of [["secret", secret], ["btoa(secret)", btoa(secret)]]) {
  try {
    client.webhooks.unwrap(body, { headers, key });
    console.log(`typescript ${name}: accepted`);
  } catch {
    console.log(`typescript ${name}: rejected`);
  }
}
JAVASCRIPT

python3 sign.py
found=$("$directory/venv/bin/python" verify.py && node verify.mjs)
expected='python secret: accepted
python btoa(secret): rejected
typescript secret: rejected
typescript btoa(secret): accepted'
echo "$found"
if [ "$found" != "$expected" ]; then
  echo "the behaviour has changed" >&2
  exit 1
fi
