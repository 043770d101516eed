#!/usr/bin/env bash
# django-webhook retries after a 500 five times, but never after a refused connection.
#
# The Celery task has `max_retries=5` and catches every RequestException. But its handler first logs
# the status of `exception.response`, which is None without a response: the AttributeError ends the
# task before `self.retry`. So an event is lost if the receiver is down, e.g. while it restarts. If
# a proxy in front of the receiver returns 502, the event is retried.
#
# Seen with django-webhook 0.0.15, Django 4.2.16 and Celery 5.4.0 (PyPI), tasks run eagerly:
#   answers 500: 6 requests, then HTTPError
#   refuses connections: AttributeError, no retry
set -euo pipefail

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
python3 -m venv "$directory/venv"
"$directory/venv/bin/pip" install --quiet --disable-pip-version-check django-webhook==0.0.15 django==4.2.16 celery==5.4.0

cat > "$directory/try.py" <<'PYTHON'
import http.server
import socket
import threading

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="x",
    INSTALLED_APPS=["django.contrib.contenttypes", "django_webhook"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DJANGO_WEBHOOK={"MODELS": []},
    USE_TZ=True,
)
django.setup()

import celery
from django.core.management import call_command

app = celery.Celery("try", broker="memory://", backend="cache+memory://")
app.conf.task_always_eager = True
app.set_default()
call_command("migrate", verbosity=0)

from django_webhook.models import Webhook
from django_webhook.tasks import fire_webhook

requests = []


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        requests.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
with socket.socket() as unused:
    unused.bind(("127.0.0.1", 0))
    closed_port = unused.getsockname()[1]


def fire(port):
    webhook = Webhook(url=f"http://127.0.0.1:{port}/")
    webhook.save()
    # In eager mode, a retry runs immediately instead of after 60 s.
    return type(fire_webhook.apply(args=[webhook.id, "{}"]).result).__name__


error = fire(server.server_port)
print(f"answers 500: {len(requests)} requests, then {error}")
error = fire(closed_port)
print(f"refuses connections: {error}, {'no retry' if error == 'AttributeError' else 'changed'}")
PYTHON

found=$("$directory/venv/bin/python" "$directory/try.py" 2> "$directory/log") || { cat "$directory/log" >&2; exit 1; }
expected='answers 500: 6 requests, then HTTPError
refuses connections: AttributeError, no retry'
echo "$found"
if [ "$found" != "$expected" ]; then
  echo "the behaviour has changed" >&2
  exit 1
fi
