source tests/parts/common.sh

# Recordings of voice rooms are decoded by a program that is not ours.
command -v ffmpeg >/dev/null || install_packages ffmpeg ||
  say "without ffmpeg, recordings are not listened to"

# Sums what `cargo test` prints, one line per program.
count_cargo_test() {
  awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }' "$1" >>"$COUNTS"
}

output=$(mktemp)
trap 'rm -f "$output"' EXIT

# The documentation's tests come first, so that the log ends with what failed of the others.
status=0
cargo test --locked --workspace --all-features --doc 2>&1 | tee "$output" || status=$?
count_cargo_test "$output"

if cargo nextest --version >/dev/null 2>&1; then
  # A machine may be too busy for a test once. What fails twice has failed, and what needed its
  # second try is named, even when all is well in the end.
  cargo nextest run "${BUILD[@]}" --no-fail-fast --retries 1 --status-level retry \
    --final-status-level flaky --failure-output immediate-final --hide-progress-bar 2>&1 |
    tee "$output" || status=$?
  sed -n -E 's/^ *FLAKY 2\/2 \[ *[0-9.]+s\] (.*)/\1/p' "$output" | sort -u |
    while read -r name; do say "passed at its second try: $name"; done
  # "Summary [ 1.5s] 9 tests run: 7 passed (1 slow), 1 failed, 1 timed out, 2 skipped"
  grep -E '^ *Summary' "$output" | tail -n 1 |
    sed -E 's/.* ([0-9]+)(\/[0-9]+)? tests? run: ([0-9]+) passed.*/\1 \3/' |
    awk '{ print $2, $1 - $2 }' >>"$COUNTS"
else
  say "cargo test, as cargo-nextest is not installed"
  cargo test "${BUILD[@]}" --no-fail-fast 2>&1 | tee "$output" || status=$?
  count_cargo_test "$output"
fi
exit "$status"
