source tests/parts/common.sh
install_npm_packages
build_server

has_browser() {
  [[ -n ${FLOE_BROWSER:-} ]] && return
  local path
  for path in /usr/bin/{chromium,chromium-browser,google-chrome,google-chrome-stable}; do
    # On Ubuntu this may be a stub that asks for snap.
    [[ -x $path ]] && "$path" --version >/dev/null 2>&1 && return
  done
  return 1
}

install_browser() {
  install_packages chromium && has_browser && return
  echo "note: no package chromium that works here; taking the browser that playwright downloads"
  as_root env "PATH=$PATH" tests/node_modules/.bin/playwright-core install-deps chromium
  tests/node_modules/.bin/playwright-core install chromium
  FLOE_BROWSER=$(cd tests &&
    node -e 'import("playwright-core").then((p) => console.log(p.chromium.executablePath()))')
  export FLOE_BROWSER
}

has_browser || install_browser
run_vitest browser
