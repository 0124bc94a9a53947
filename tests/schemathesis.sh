#!/usr/bin/env bash
# Asks a server of its own everything that docs/openapi.json lists, with what schemathesis thinks up from that document: once as
# an administrator, once as a user, once as nobody. Every reply must be as the document says. Then the stopped server is audited.
# Exits 1 and keeps the logs if anything was wrong.
set -euo pipefail

binary=$(realpath "${1:?which purser}")
cd "$(dirname "$0")/.."
examples=${2:?how many examples of each operation}
seed=${3:?which seed}
# The same seed means the same cases only with the same generator below it.
schemathesis=4.32.5
hypothesis=6.170.15
venv=$PWD/target/schemathesis-venv/$schemathesis-$hypothesis
document=$PWD/docs/openapi.json
folder=$(mktemp -d)
failed=0

# shellcheck disable=SC2329 # the trap calls it
finish() {
    local code=$?
    # bash would tell of each that it was killed.
    exec 2>/dev/null
    jobs -pr | xargs -r kill -KILL || true
    wait || true
    if [[ $code -eq 0 ]]; then
        rm -rf "$folder"
    else
        echo "schemathesis: something was wrong; the logs are in $folder"
    fi
}
trap finish EXIT

wrong() {
    echo "schemathesis: $*"
    failed=1
}

# Nothing of the surroundings may change the server under test.
for name in "${!PURSER_@}" "${!SCHEMATHESIS_@}"; do
    unset "$name"
done

install_schemathesis() {
    [[ -e $venv/complete ]] && return
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        echo "tests/schemathesis.sh: this needs Python with venv (Debian, Ubuntu: sudo apt-get install python3-venv)" >&2
        exit 1
    fi
    if ! command -v curl >/dev/null; then
        echo "tests/schemathesis.sh: this needs curl (Debian, Ubuntu: sudo apt-get install curl)" >&2
        exit 1
    fi
    # What was not finished the last time is made anew.
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check "schemathesis==$schemathesis" "hypothesis==$hypothesis"
    touch "$venv/complete"
}

# start NAME ARGUMENT...: starts a command of the binary and sets `address` to where it listens, `started` to its process.
start() {
    local name=$1
    shift
    # Made here: the command may not have opened it when it is read first.
    : >"$folder/$name.out"
    "$binary" "$@" >"$folder/$name.out" 2>"$folder/$name.log" &
    started=$!
    for _ in {1..600}; do
        address=$(sed -n 's/^listening on //p' "$folder/$name.out")
        [[ -n $address ]] && return
        kill -0 "$started" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 20 "$folder/$name.log"
    echo "schemathesis: $name did not start"
    exit 1
}

# post TOKEN PATH BODY: the reply; anything but 2xx ends the script.
post() {
    curl -sS --fail-with-body -H 'Content-Type: application/json' ${1:+-H "Authorization: Bearer $1"} \
        "$server_address/api/v1$2" -d "$3"
}

get() {
    curl -sS --fail-with-body -H "Authorization: Bearer $1" "$server_address/api/v1$2"
}

field() {
    sed -E "s/.*\"$1\":\"?([^\",}]*).*/\1/"
}

login() {
    post '' /auth/login "{\"email\":\"$1\",\"password\":\"$password\"}" | field access_token
}

# Something of every kind, and what its id is. Anew for each run: the one before may have deleted it.
furnish() {
    local card
    user=$ann_id
    post "$admin" "/users/$user/balance/increment" '{"amount":1000000000}' >/dev/null
    item=$(post "$admin" /items '{"name":"Lamp","price":1999,"stock":1000000}' | field id)
    # Its orders add up: 0 is what schemathesis tries most.
    gift=$(post "$admin" /items '{"name":"Sample","price":0,"stock":1000000}' | field id)
    plan=$(post "$admin" /redemption/plans '{"name":"Standard","target_amount":500000,"payout_bps":8500}' | field id)
    account=$(post "$admin" /redemption/accounts "{\"label\":\"first\",\"country\":\"DE\",\"plan_id\":\"$plan\"}" | field id)
    order=$(post "$ann" "/items/$item/purchase" '{"quantity":1}' | field order_id)
    post "$admin" "/orders/$order/ship" '{}' >/dev/null
    order=$(post "$ann" "/items/$item/purchase" '{"quantity":2}' | field order_id)
    withdrawal=$(post "$ann" /withdrawals '{"amount":1500}' | field id)
    card=$(post "$ann" /redemptions "{\"code\":\"OK2500X$1\",\"country\":\"DE\"}")
    redemption=$(field id <<<"$card")
    card="{\"code\":\"USED$1\",\"country\":\"DE\"}"
    batch=$(post "$ann" /redemptions/batches "{\"cards\":[$card]}" | field batch_id)
    # Nobody hears of the shipment, so it becomes a dead letter.
    for _ in {1..100}; do
        message=$(get "$admin" '/messages/failed?limit=1' | sed -n 's/^{"data":\[{"id":"\([^"]*\)".*/\1/p')
        [[ -z $message ]] || return 0
        sleep 0.1
    done
    echo "schemathesis: no message died"
    exit 1
}

# known PATHS ID...: half of the requests to these paths are about what exists.
known() {
    local paths=$1
    shift
    local name=${paths//[^a-z]/-}
    printf '\n[dictionaries.%s]\nvalues = [%s]\n' "$name" "$(IFS=, && echo "$*")"
    printf '[[operations]]\ninclude-path-regex = "^/api/v1/(%s)/\\\\{id"\n' "$paths"
    printf 'parameters = { "path.id" = { dictionary = "%s", probability = 0.5 } }\n' "$name"
}

# What schemathesis is told of our contract. Every check of it that is not named here is on.
configure() {
    cat <<TOML
# Refusals for want of room, time or the store are part of the contract; the hooks look at their codes. Any other 5xx is a defect.
[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", "503"]

# Every 4xx refuses: 404 comes before the body is looked at, and 410, 412 and 413 have their reasons, too.
[checks.negative_data_rejection]
expected-statuses = ["4xx", "503"]

# The document does not tell all that makes a request wrong: that ids must exist, sums be right, ranks ascend, texts be bounded.
[checks.positive_data_acceptance]
enabled = false

# Unknown headers and query parameters are ignored, as HTTP wants it. schemathesis allows that, but not beside a header which is a
# number: it takes the number's text for a second mistake.
[generation]
allow-extra-parameters = false

# A batch is taken although some of its cards are wrong; the reply says which.
[[operations]]
include-path = "/api/v1/redemptions/batches"
checks = { negative_data_rejection = { expected-statuses = ["202", "4xx", "503"] } }

[dictionaries.products]
values = [$item, $gift]
[dictionaries.plans]
values = ["$plan"]
[dictionaries.receivers]
values = [$receiver]
[parameters]
"body.items[*].product_id" = { dictionary = "products", probability = 0.5 }
"body.plan_id" = { dictionary = "plans", probability = 0.5 }
"body.to_user_id" = { dictionary = "receivers", probability = 0.5 }
TOML
    known 'users|distributors' "$user"
    known items "$item" "$gift"
    known orders "\"$order\""
    known withdrawals "\"$withdrawal\""
    known redemptions "\"$redemption\""
    known redemptions/batches "\"$batch\""
    known redemption/accounts "\"$account\""
    known messages/failed "\"$message\""
    if [[ -n $1 ]]; then
        cat <<TOML

[headers]
Authorization = "Bearer $1"

# Logging out ends the session, and everything after it would be 401: a session of its own is given up for that.
[[operations]]
include-operation-id = "auth_logout"
headers = { Authorization = "Bearer $2" }
TOML
    fi
}

hooks() {
    cat <<'PYTHON'
import schemathesis

# Not storage_full and outcome_unknown: no disk is full here, and none fails.
UNAVAILABLE = {"overloaded", "backlog_full", "store_unavailable", "shutting_down", "read_timeout"}


# It follows from one reply into the next request and would put a number into a header, which its own client then refuses to send.
@schemathesis.hook
def before_call(context, case, kwargs):
    for name, value in case.headers.items():
        if isinstance(value, (int, float)):
            case.headers[name] = str(value)


@schemathesis.check
def unavailable_as_documented(ctx, response, case):
    if response.status_code == 503:
        code = response.json()["code"]
        assert code in UNAVAILABLE, f"503 with the code {code}"
        assert "retry-after" in response.headers, f"503 {code} without Retry-After"
PYTHON
}

# Cases and 2xx replies of a run as its reports tell them, then what kinds of failures there were, one on a line.
tell() {
    "$venv/bin/python" - "$1" <<'PYTHON'
import json, sys

with open(f"{sys.argv[1]}/run.json") as file:
    run = json.load(file)
acks = 0
with open(f"{sys.argv[1]}/run.ndjson") as file:
    for line in file:
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for interaction in recorder.get("interactions", {}).values():
            response = interaction.get("response")
            acks += response is not None and 200 <= response["status_code"] < 300
print(run["test_cases"]["generated"], acks)
for failure in run["failures"]:
    operations = failure["operations"]
    more = f" and {len(operations) - 3} more" if len(operations) > 3 else ""
    print(f"  {failure['count']} times {failure['code']} ({failure['title']}): {', '.join(operations[:3])}{more}")
for error in run["errors"]:
    print(f"  {error['count']} times {error['title']}")
if run["test_cases"]["errored"]:
    print(f"  {run['test_cases']['errored']} cases could not be sent")
if not run["complete"]:
    print(f"  not finished: {run['stop_reason']}")
PYTHON
}

# ask WHO TOKEN TOKEN-TO-LOG-OUT
ask() {
    local who=$1 place=$folder/$1 code=0 cases acks
    furnish "$who"
    mkdir "$place"
    configure "$2" "$3" >"$place/config.toml"
    # It writes down what it found in the folder where it runs.
    (cd "$place" && SCHEMATHESIS_HOOKS=hooks PYTHONPATH=$folder "$venv/bin/st" --config-file config.toml run "$document" \
        --url "$server_address" --max-examples "$examples" --seed "$seed" --workers 1 --continue-on-failure --no-color \
        --generation-database none --report json,ndjson --report-json-path run.json --report-ndjson-path run.ndjson) \
        >"$place/log" 2>&1 || code=$?
    tell "$place" >"$place/told" || true
    read -r cases acks <"$place/told" || true
    # Its exit code does not tell of cases that it could not send.
    if [[ $code -eq 0 && ${acks:-0} -gt 0 && $(wc -l <"$place/told") -eq 1 ]]; then
        echo "proof: tier=T4 what=schemathesis-$who runs=$cases faults=0 acks=$acks"
    else
        wrong "$who: exit code $code, ${cases:-no} cases, ${acks:-no} acks"
        tail -n +2 "$place/told" | head -n 12
        { grep -a -A 12 -m 1 '= FAILURES =' "$place/log" || tail -n 12 "$place/log"; } | cut -c -200
    fi
    kill -0 "$server" 2>/dev/null || { wrong "the server ended by itself"; exit 1; }
}

install_schemathesis
hooks >"$folder/hooks.py"

password=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
export PURSER_ADMIN_PASSWORD=$password
# Tokens that outlive the run, and no refusal of frequent logins but the one by address, which is no setting.
export PURSER__AUTH__ACCESS_TOKEN_SECONDS=86400
export PURSER__AUTH__LOGIN_ATTEMPTS_PER_MINUTE=1000000
export PURSER__LOG__LEVEL=warn
start provider provider-sim --listen 127.0.0.1:0
export PURSER__PROVIDER__URL=$address
# Shipments are told to nobody.
export PURSER__WEBHOOK__URL=http://127.0.0.1:1/
export PURSER__MESSAGES__ORDER_SHIPPED__TRIES=1
start server serve --listen 127.0.0.1:0 --data-dir "$folder/data"
server=$started
server_address=$address

admin=$(cat "$folder/data/admin-token")
ann_id=$(post "$admin" /users "{\"name\":\"Ann\",\"email\":\"ann@example.org\",\"password\":\"$password\"}" | field id)
ann=$(login ann@example.org)
receiver=$(post "$admin" /users '{"name":"Bob","email":"bob@example.org"}' | field id)

ask admin "$admin" "$(login admin@localhost)"
ask user "$ann" "$(login ann@example.org)"
ask nobody '' ''

kill -TERM "$server"
code=0
wait "$server" || code=$?
[[ $code -eq 0 ]] || wrong "the server ended with exit code $code"
if grep -a 'panicked' "$folder/server.log" | cut -c -200 | head -n 5 | grep .; then
    wrong "the server panicked"
fi
if ! "$binary" audit --data-dir "$folder/data" >"$folder/audit" 2>&1; then
    wrong "the audit is not clean"
    cut -c -200 "$folder/audit" | head -n 20
fi
exit "$failed"
