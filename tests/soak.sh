#!/usr/bin/env bash
# The checks that get better with time: canaries, loops over every place and moment, kill -9, a second opinion, faults at the
# database, hostile clients and bytes, a fuzzer, schemathesis, and the simulation for the rest of so many minutes. Prints the seed of
# those that have one, how far it is, and at the end a table of what was tried. Exits 1 and keeps the logs if anything was wrong.
set -uo pipefail
cd "$(dirname "$0")/.."

minutes=${1:?how many minutes}
seed=${SOAK_SEED:-$(date +%s)}
begun=$(date +%s)
folder=$(mktemp -d)
failed=0
# At least as many as the tests take by themselves. Kills are on each of two stores; in 100 minutes they are 600.
cycles=$((minutes * 3 < 10 ? 10 : minutes * 3))
rounds=$((minutes < 20 ? 1 : minutes / 20))
faults=$((minutes < 20 ? 10 : minutes / 2))
cases=$((minutes * 250 < 2000 ? 2000 : minutes * 250))
# Before the hours that come first.
if ! { command -v c++ && command -v curl && python3 -c 'import ensurepip, venv'; } >/dev/null 2>&1; then
    echo "tests/soak.sh: the fuzzer needs a C++ compiler, schemathesis curl and Python with venv" \
        "(Debian, Ubuntu: sudo apt-get install g++ curl python3-venv)" >&2
    exit 1
fi
echo "soak: seed $seed, $minutes minutes (repeat it with SOAK_SEED=$seed)"

# say NAME: which step begins, and when.
say() {
    local seconds=$(($(date +%s) - begun))
    echo "soak: $1, after $((seconds / 60)) min $((seconds % 60)) s"
}

# take NAME CODE: takes in what the log of a step proves. One that proves nothing has failed.
take() {
    local name=$1 code=$2
    if [[ $code -ne 0 ]] || ! grep -aq 'proof: ' "$folder/$name.log"; then
        failed=1
        grep -a -A4 'panicked at' "$folder/$name.log" | head -n 40
        tail -n 20 "$folder/$name.log"
        echo "$name what=FAILED" >>"$folder/proofs"
    fi
    grep -ah -o 'proof: .*' "$folder/$name.log" | sed "s/^proof: /$name /" >>"$folder/proofs"
    grep -ah -o 'P99 of others .*' "$folder/$name.log" >>"$folder/told"
}

# step NAME TEST FEATURES "WHICH OF ITS TESTS" VARIABLE=VALUE...
step() {
    local name=$1 test=$2 features=$3 which=$4
    shift 4
    say "$name"
    # A long step says how far it is in lines that begin with "seed". Some words say which.
    # shellcheck disable=SC2086
    env "$@" cargo test --release --locked --features "$features" --test "$test" -- $which --nocapture 2>&1 |
        tee "$folder/$name.log" | grep -a --line-buffered '^seed '
    take "$name" "${PIPESTATUS[0]}"
}

# script NAME SCRIPT ARGUMENT...
script() {
    local name=$1
    shift
    say "$name"
    bash "$@" >"$folder/$name.log" 2>&1
    take "$name" $?
}

# First: what is built last is left without their feature.
step canaries canaries canaries ''
step canaries-kill-9 crash canaries canaries::
step canaries-commits outage canaries canaries::
step every-moment crash canaries moments_of_ "PURSER_CRASH_MOMENTS=$rounds" "PURSER_CRASH_SEED=$seed"
step every-place simulation '' every_operation PURSER_SIMULATION_STRIDE=1
step every-statement store '' every_statement
step kill-9 crash '' every_acknowledged "PURSER_CRASH_CYCLES=$cycles" "PURSER_CRASH_SEED=$seed"
step second-opinion crash '' second_opinion "PURSER_CRASH_HISTORIES=$cycles" "PURSER_CRASH_SEED=$seed"
step kill-9-cards redemption '' crash:: "PURSER_REDEMPTION_CRASH_CYCLES=$faults" PURSER_REDEMPTION_CRASH_CARDS=2000
step commits outage '' commits:: "PURSER_OUTAGE_CYCLES=$faults"
step outage outage '' '--skip commits::' "PURSER_OUTAGE_CYCLES=$((rounds < 10 ? 10 : rounds))" PURSER_OUTAGE_BACKLOG=100000
step journal journal '' '' "PROPTEST_CASES=$cases"
# Its properties do not say how often they were tried; each is tried as often as they were told.
properties=$(grep -ac '^test decoding::properties.* ok$' "$folder/journal.log")
echo "journal what=hostile-bytes runs=$((properties * cases)) faults=0 acks=0" >>"$folder/proofs"
step hostile hostile '' '--skip crowds::' "PURSER_HOSTILE_INPUTS=$((minutes * 1000))" "PURSER_HOSTILE_SEED=$seed"
# By itself: it is timed.
step crowds hostile '' crowds:: PURSER_HOSTILE_COLD=10000
script fuzz tests/fuzz.sh "$minutes" "$seed"
script schemathesis tests/schemathesis.sh target/release/purser "$minutes" "$seed"
left=$((minutes * 60 - ($(date +%s) - begun)))
step simulation simulation '' whatever "PURSER_SIMULATION_FIRST=$seed" "PURSER_SIMULATION_SECONDS=$((left < 60 ? 60 : left))"

echo
echo "seed $seed, $(( ($(date +%s) - begun) / 60 )) minutes"
awk -v minutes="$minutes" -f tests/soak.awk "$folder/proofs" || failed=1
cat "$folder/told"
if [ "$failed" -ne 0 ]; then
    echo "something was wrong; the logs are in $folder"
else
    rm -rf "$folder"
fi
exit "$failed"
