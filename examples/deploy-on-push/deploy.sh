#!/usr/bin/env bash
# Updates the checkout at the path in the first argument. creel passes the body on stdin, and
# HOOK_EVENT, HOOK_MESSAGE_ID and others as variables. It stores an excerpt of the output (1 KiB)
# with the attempt.
set -euo pipefail

# 75 means "retry later": another deploy is running.
exec 9>"$1/.git/deploy.lock"
flock --nonblock 9 || exit 75

git -C "$1" pull --quiet --ff-only
echo "message $HOOK_MESSAGE_ID: $(git -C "$1" log -1 --format='%h %s')"
