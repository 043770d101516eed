#!/usr/bin/env bash
# Tink's ECDSA signatures differ from the DER signatures of other libraries.
#
# Google signs the webhooks of its Health API "with ECDSA (NIST P256)" and publishes the keys as a
# Tink key set. With Tink's default output prefix, a signature has five bytes before the DER: 0x01
# and the id of the key. A library that verifies the whole signature rejects every genuine message.
#
# Seen with tink 1.16.1 and cryptography 50.0.2 (PyPI):
#   first bytes of the signature: 01 and the key id
#   cryptography, whole signature: InvalidSignature
#   cryptography, without five bytes: valid
set -euo pipefail

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
python3 -m venv "$directory/venv"
"$directory/venv/bin/pip" install --quiet --disable-pip-version-check tink==1.16.1 cryptography==50.0.2

cat > "$directory/try.py" <<'PYTHON'
import base64
import json

import tink
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tink import json_proto_keyset_format, signature

signature.register()
private = tink.new_keyset_handle(signature.signature_key_templates.ECDSA_P256)
public = private.public_keyset_handle()
body = b'[{"data":{"dataType":"steps","operation":"UPSERT"}}]'
signed = private.primitive(signature.PublicKeySign).sign(body)
public.primitive(signature.PublicKeyVerify).verify(signed, body)

[key] = json.loads(json_proto_keyset_format.serialize_without_secret(public))["key"]
message = base64.b64decode(key["keyData"]["value"])
named = signed[:1] == b"\x01" and int.from_bytes(signed[1:5], "big") == key["keyId"]
print("first bytes of the signature:", "01 and the key id" if named else signed[:5].hex())


def fields(message):
    place = 0
    while place < len(message):
        tag, place = message[place], place + 1
        if tag & 7 == 0:
            place += 1
            continue
        length, place = message[place], place + 1
        yield tag >> 3, message[place : place + length]
        place += length


coordinates = {number: value for number, value in fields(message)}
x, y = (int.from_bytes(coordinates[number], "big") for number in (3, 4))
point = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
for what, value in [("whole signature", signed), ("without five bytes", signed[5:])]:
    try:
        point.verify(value, body, ec.ECDSA(hashes.SHA256()))
        print(f"cryptography, {what}: valid")
    except InvalidSignature:
        print(f"cryptography, {what}: InvalidSignature")
PYTHON

expected="first bytes of the signature: 01 and the key id
cryptography, whole signature: InvalidSignature
cryptography, without five bytes: valid"
seen=$("$directory/venv/bin/python" "$directory/try.py")
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed" >&2; exit 1; }
