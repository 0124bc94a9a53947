#!/usr/bin/env bash
# Makes sure that the programs which the tests start are there: a Postgres server (they run a private one in a temporary
# directory) and strace (one test watches the journal's system calls). Installs what is missing when it is root on
# Debian or Ubuntu; otherwise says what to install and fails.
set -euo pipefail

has_postgres() {
    local place places
    IFS=: read -ra places <<<"$PATH"
    for place in "${places[@]}" /usr/lib/postgresql/*/bin; do
        [[ -x "$place/initdb" && -x "$place/postgres" ]] && return 0
    done
    return 1
}

has_strace() {
    command -v strace >/dev/null
}

wanted_packages() {
    has_postgres || echo postgresql
    has_strace || echo strace
}

can_install() {
    [[ "$(id -u)" == 0 ]] && command -v apt-get >/dev/null
}

missing=$(wanted_packages | xargs)
if [[ -n "$missing" ]] && can_install; then
    echo "tests/setup.sh: installing $missing"
    apt-get update -qq
    # shellcheck disable=SC2086 # one word per package
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    missing=$(wanted_packages | xargs)
fi

if [[ -n "$missing" ]]; then
    cat >&2 <<TEXT
tests/setup.sh: the tests need what this machine lacks: $missing
  Debian, Ubuntu:  sudo apt-get install $missing
  Fedora:          sudo dnf install ${missing/postgresql/postgresql-server}
Postgres must be version 14 or newer, with initdb and postgres on PATH or in /usr/lib/postgresql/*/bin.
TEXT
    exit 1
fi
echo "tests/setup.sh: Postgres and strace found"
