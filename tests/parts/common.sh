# Shared by the parts; sourced, with the root of the project as the working folder.
set -euo pipefail

export CARGO_TERM_COLOR=never NO_COLOR=1

# Adds to the counts of this part: passed, failed.
count() {
  echo "$1 $2" >>"$COUNTS"
}

# Runs a command as one test: passed if it succeeds.
check() {
  echo "+ $*"
  if "$@"; then count 1 0; else count 0 1; fi
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo -n "$@"
  else
    echo "this needs root: $*"
    return 1
  fi
}

# Says something that is printed even when the part passes.
say() {
  echo "NOTE: $*"
}

# Installs the newest versions of Debian or Ubuntu packages.
install_packages() {
  if ! command -v apt-get >/dev/null; then
    echo "please install: $*"
    return 1
  fi
  # Old lists name versions that are gone, or that are too old. What is out of reach may not matter.
  as_root apt-get update || true
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# Installs the npm packages of tests/ where they are not what the lock file says.
install_npm_packages() {
  need_node
  local stamp=tests/node_modules/.lock-file
  if ! cmp -s tests/package-lock.json "$stamp"; then
    npm ci --prefix tests --no-audit --no-fund --ignore-scripts
    cp tests/package-lock.json "$stamp"
  fi
}

need_node() {
  local wanted='const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)'
  if ! command -v node >/dev/null || ! node -e "$wanted"; then
    echo "Node.js 20.19 or newer is needed"
    return 1
  fi
}

# What the part rust builds, and so the program that all other parts test: one profile and one
# set of features, so that nothing is compiled twice.
BUILD=(--locked --workspace --all-features --lib --bins --tests)

# Builds the server, unless FLOE_BINARY names one.
build_server() {
  if [[ -z ${FLOE_BINARY:-} ]]; then
    cargo build "${BUILD[@]}"
    export FLOE_BINARY=$TARGET_DIR/debug/floe
  fi
}

# Runs the test files of one folder of tests/ and counts them. A test that is skipped is a failed
# one. With a second argument, each file must have run at least that many.
run_vitest() {
  local folder=$1 report=$TARGET_DIR/test-logs/$1.json
  rm -f "$report"
  (cd tests && node_modules/.bin/vitest run "$folder/" \
    --reporter=default --reporter=json --outputFile="$report") || true
  node tests/parts/count.mjs "$report" "${2:-1}" >>"$COUNTS"
}
