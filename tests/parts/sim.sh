source tests/parts/common.sh

# The same seeds every time, and as many that nobody has seen.
SEEDS=250
fresh=${FLOE_TEST_SEED:-$((RANDOM * 32768 + RANDOM))}

cargo build "${BUILD[@]}"
for first in 0 "$fresh"; do
  output=$("$TARGET_DIR/debug/floe-sim" --seeds "$first..$((first + SEEDS))") || true
  echo "$output"
  sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' <<<"$output" >>"$COUNTS"
done
