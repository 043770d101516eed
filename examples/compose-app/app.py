"""An app that receives verified webhooks from creel. Only creel can reach it in this network."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class App(BaseHTTPRequestHandler):
    def do_POST(self):
        payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        repository = payload.get("repository", {}).get("full_name", "-")
        print(f"{self.headers['creel-event']} {repository}", flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(os.environ.get("PORT", "8000"))), App).serve_forever()
