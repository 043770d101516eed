#!/usr/bin/env bash
# Sends one signed webhook with curl and openssl.
#
#   SHOP_SECRET=... ./send.sh http://127.0.0.1:8080/webhooks/shop order.paid '{"amount": 1200}'
set -euo pipefail

body=$(printf '{"id":"%s","type":"%s","data":%s}' "$(openssl rand -hex 16)" "$2" "$3")
timestamp=$(date +%s)
signature=$(printf '%s.%s' "$timestamp" "$body" | openssl dgst -sha256 -hmac "$SHOP_SECRET" | sed 's/.*= //')
# curl retries after 408, 429, 500, 502, 503, 504 and refused connections; the id in the body stays
# the same.
curl --silent --show-error --fail-with-body --retry 3 --retry-connrefused --output /dev/null --write-out '%{http_code}\n' \
    --header 'Content-Type: application/json' --header "X-Shop-Signature: t=$timestamp,v1=$signature" \
    --data-binary "$body" "$1"
