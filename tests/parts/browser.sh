source tests/parts/common.sh
install_npm_packages
build_server

# Finds a browser that runs and leaves its path in FLOE_BROWSER.
find_browser() {
  local path
  for path in "${FLOE_BROWSER:-}" \
    /usr/bin/{chromium,chromium-browser,google-chrome,google-chrome-stable}; do
    # On Ubuntu this may be a stub that asks for snap.
    if [[ -x $path ]] && "$path" --version >/dev/null 2>&1; then
      export FLOE_BROWSER=$path
      return
    fi
  done
  return 1
}

install_browser() {
  install_packages chromium && find_browser && return
  say "no package chromium that works here; taking the browser that playwright downloads"
  as_root env "PATH=$PATH" tests/node_modules/.bin/playwright-core install-deps chromium
  tests/node_modules/.bin/playwright-core install chromium
  FLOE_BROWSER=$(cd tests &&
    node -e 'import("playwright-core").then((p) => console.log(p.chromium.executablePath()))')
  export FLOE_BROWSER
}

find_browser || install_browser
# Recordings are decoded by somebody else's program.
command -v ffmpeg >/dev/null || install_packages ffmpeg
run_vitest browser
