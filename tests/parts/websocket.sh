source tests/parts/common.sh

# An echo server made of our WebSocket is asked everything the standard says: by a client that the
# whole world uses, and by the Autobahn test suite. That one needs Python 2.7, which few machines
# still have.
ADDRESS=127.0.0.1:9741
REPORTS=$TARGET_DIR/autobahn

main() {
  install_npm_packages
  cargo build --locked -p floe-surfaces --example websocket_echo
  export FLOE_WEBSOCKET_ECHO=$TARGET_DIR/debug/examples/websocket_echo
  run_vitest websocket
  local python
  if ! python=$(find_python); then
    say "no Python 2.7 here: the Autobahn test suite did not run"
    return
  fi
  install_suite "$python"
  "$FLOE_WEBSOCKET_ECHO" "$ADDRESS" &
  trap "kill $!" EXIT
  run_cases '1.*' '2.*' '3.*' '4.*' '5.*' '6.*' '7.*' '9.*' '10.*'
  # All cases of compression take half an hour; each kind's first few show most of what can go wrong.
  if [[ -n ${FLOE_TEST_FULL:-} ]]; then
    run_cases '12.*' '13.*'
  else
    run_cases 12.{1..5}.{1..4} 13.{1..7}.{1..4}
  fi
}

find_python() {
  local python
  for python in python2.7 "$HOME"/.pyenv/versions/2.7.*/bin/python2.7; do
    if "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (2, 7))' 2>/dev/null; then
      echo "$python"
      return
    fi
  done
  return 1
}

install_suite() {
  SUITE=$REPORTS/venv/bin/wstest
  [[ -x $SUITE ]] && return
  "$1" -m virtualenv --version >/dev/null 2>&1 || "$1" -m pip install --user virtualenv
  "$1" -m virtualenv "$REPORTS/venv"
  "$REPORTS/venv/bin/pip" install autobahntestsuite==25.10.1
}

run_cases() {
  local cases
  cases=$(printf '"%s",' "$@")
  rm -rf "$REPORTS/report"
  cat >"$REPORTS/spec.json" <<SPEC
{"outdir": "$REPORTS/report", "servers": [{"agent": "floe", "url": "ws://$ADDRESS"}],
 "cases": [${cases%,}], "exclude-cases": [], "exclude-agent-cases": {}}
SPEC
  "$SUITE" -m fuzzingclient -s "$REPORTS/spec.json"
  node tests/parts/autobahn.mjs "$REPORTS/report/index.json" >>"$COUNTS"
}

main
