#!/bin/sh
# The whole of docker-compose.yml on a machine that has Docker: built, brought up from nothing, asked, taken down.
# Nothing of an installation is touched: a project, a home and volumes of its own. Takes some minutes and 5 GB.
#   tests/compose_smoke.sh
set -eu
cd "$(dirname "$0")/.."
docker compose version >/dev/null 2>&1 || { echo "docker compose is needed" >&2; exit 2; }

home=$(mktemp -d)
project="panpan-smoke-$$"
password="smoke-$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')"
compose() { docker compose --project-name "$project" --env-file "$home/settings.env" "$@"; }
ending() {
    code=$?
    [ "$code" -eq 0 ] || compose logs --tail 40 || true
    compose --profile '*' down --volumes --timeout 10 >/dev/null 2>&1 || true
    rm -rf "$home"
    exit "$code"
}
trap ending EXIT INT TERM
said() { printf '%s: ' "$1"; shift; "$@" >/dev/null && echo well; }

bin/panpan init --home "$home" >/dev/null
port=$(sed -n 's/^PANPAN_WEB_PORT=//p' "$home/settings.env")
said "the file is read" compose config --quiet
said "the image is built" compose build --quiet
said "databases and migrations" compose run --rm prepare
printf '%s\n' "$password" | compose run --rm --no-TTY prepare panpan users add ada --role owner
said "everything is up and well" compose up --detach --wait --wait-timeout 600
said "deploying again changes nothing" compose run --rm deploy
said "the pages ask for a login" sh -c "curl --silent --include http://127.0.0.1:$port/ | grep -i '^location: /login'"
said "a file travels" compose exec --no-TTY worker python -m panpan ingest status
said "every role may what it may" compose exec --no-TTY worker python -m panpan roles test
said "a backup is made and proven" compose exec --no-TTY worker python -m panpan backups daily
said "everything comes back" compose restart
said "and is well again" compose up --detach --wait --wait-timeout 600
echo "docker-compose.yml holds."
