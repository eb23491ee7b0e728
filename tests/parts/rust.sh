source tests/parts/common.sh

# Sums what `cargo test` prints, one line per program.
count_cargo_test() {
  awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }' "$1" >>"$COUNTS"
}

output=$(mktemp)
trap 'rm -f "$output"' EXIT

status=0
if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run "${BUILD[@]}" --no-fail-fast --status-level fail --final-status-level fail \
    --hide-progress-bar 2>&1 | tee "$output" || status=$?
  # "Summary [ 1.5s] 9 tests run: 7 passed (1 slow), 1 failed, 1 timed out, 2 skipped"
  grep -E '^ *Summary' "$output" | tail -n 1 |
    sed -E 's/.* ([0-9]+)(\/[0-9]+)? tests? run: ([0-9]+) passed.*/\1 \3/' |
    awk '{ print $2, $1 - $2 }' >>"$COUNTS"
else
  say "cargo test, as cargo-nextest is not installed"
  cargo test "${BUILD[@]}" --no-fail-fast 2>&1 | tee "$output" || status=$?
  count_cargo_test "$output"
fi

cargo test --locked --workspace --all-features --doc 2>&1 | tee "$output" || status=$?
count_cargo_test "$output"
exit "$status"
