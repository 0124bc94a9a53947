#!/usr/bin/env bash
# Lets a coverage-guided fuzzer (libFuzzer, by cargo-fuzz) at the readers of the journal, each for so many seconds. Needs a C++
# compiler; brings cargo-fuzz itself. Without a sanitizer, which this code without `unsafe` has little use for, the stable compiler
# will do. How far it comes in that time is the machine's, so a seed does not repeat a run. Exits 1 and names the input if anything panicked.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?how many seconds for each}
seed=${2:?which seed}
version=0.13.2
tools=$PWD/target/fuzz-tools/$version

if ! command -v c++ >/dev/null; then
    echo "tests/fuzz.sh: this needs a C++ compiler (Debian, Ubuntu: sudo apt-get install g++)" >&2
    exit 1
fi
[[ -x $tools/bin/cargo-fuzz ]] || cargo install -q --locked --root "$tools" --version "$version" cargo-fuzz

# No newer dependencies than the lock file has.
cargo metadata -q --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
for target in record segment; do
    rm -rf "target/fuzz-corpus/$target"
    mkdir -p "target/fuzz-corpus/$target"
    log=target/fuzz-corpus/$target.log
    "$tools/bin/cargo-fuzz" fuzz run --sanitizer none --release --target-dir target/fuzz "$target" "target/fuzz-corpus/$target" -- \
        -max_total_time="$seconds" -seed="$seed" -max_len=256 -timeout=10 -print_final_stats=1 >"$log" 2>&1 || {
        tail -n 60 "$log"
        exit 1
    }
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(sed -n 's/.*cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    if [[ ${runs:-0} -eq 0 || ${edges:-0} -eq 0 ]]; then
        echo "tests/fuzz.sh: $target did not say what it tried, see $log"
        exit 1
    fi
    echo "proof: tier=T4 what=fuzz-$target runs=$runs faults=0 acks=0 edges=$edges"
done
