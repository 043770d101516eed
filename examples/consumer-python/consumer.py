#!/usr/bin/env python3
"""Receives deliveries from creel and verifies them with the official Standard Webhooks library.

    pip install -r requirements.txt
    WEBHOOK_SECRET=whsec_... ./consumer.py [PORT]
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
# Deliveries are at least once, and `webhook-id` is the same in each attempt. A real app stores the
# ids in its database, in the transaction that handles the message.
handled = set()


class Consumer(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            webhook.verify(body, {name.lower(): value for name, value in self.headers.items()})
        except WebhookVerificationError as error:
            print(f"rejected: {error}", flush=True)
            return self.reply(401)
        message_id = self.headers["webhook-id"]
        if message_id not in handled:
            handled.add(message_id)
            print(f"{self.headers['creel-event']} {message_id} {len(body)} bytes", flush=True)
        # Any 2xx is success. After another status creel retries; after 410 it disables the target.
        self.reply(204)

    def reply(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    ThreadingHTTPServer(("127.0.0.1", port), Consumer).serve_forever()
