#!/usr/bin/env python3
"""Sends one signed webhook, with retries.

    SHOP_SECRET=... ./send.py http://127.0.0.1:8080/webhooks/shop order.paid '{"amount": 1200}'
"""

import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid


def send(url, secret, event, data):
    # The id stays the same in each attempt, so creel drops duplicates.
    body = json.dumps({"id": str(uuid.uuid4()), "type": event, "data": data}).encode()
    for pause in (1, 5, 30, None):
        timestamp = str(int(time.time()))
        signature = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        request = urllib.request.Request(url, data=body, headers={
            "Content-Type": "application/json",
            "X-Shop-Signature": f"t={timestamp},v1={signature}",
        })
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status
        except urllib.error.HTTPError as error:
            # A retry does not help after any other 4xx.
            if error.code < 500 and error.code not in (408, 429):
                return error.code
        except OSError:
            pass
        if pause:
            time.sleep(pause)
    return None


if __name__ == "__main__":
    status = send(sys.argv[1], os.environ["SHOP_SECRET"], sys.argv[2], json.loads(sys.argv[3]))
    print(status)
    sys.exit(0 if status and status < 300 else 1)
