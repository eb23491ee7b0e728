source tests/parts/common.sh

if ! cargo deny --version >/dev/null 2>&1; then
  # Without optimisation it is there in a third of the time, and fast enough.
  CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$TARGET_DIR/cargo-deny \
    cargo install --locked --debug cargo-deny --version '^0.20'
  rm -rf "$TARGET_DIR/cargo-deny"
fi

for kind in licenses bans sources; do
  check cargo deny --all-features --locked check "$kind"
done

# The database of advisories is a repository of its own, out of reach of closed machines.
if timeout 120 cargo deny fetch db; then
  check cargo deny --all-features --locked check advisories
else
  say "advisories not checked, their database cannot be reached from here"
fi
