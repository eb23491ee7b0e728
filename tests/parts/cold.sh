source tests/parts/common.sh
install_npm_packages
build_server

# An S3 server: moto, with what its server needs and without what other services of Amazon do.
VENV=$TARGET_DIR/test-moto
if [[ ! -x $VENV/bin/moto_server ]]; then
  rm -rf "$VENV"
  python3 -m venv "$VENV" || { install_packages python3 python3-venv && python3 -m venv "$VENV"; }
  "$VENV/bin/pip" install --quiet --disable-pip-version-check moto flask flask-cors
fi
export FLOE_MOTO=$VENV/bin/moto_server

run_vitest cold 4
