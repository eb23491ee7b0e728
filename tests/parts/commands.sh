source tests/parts/common.sh
install_npm_packages
command -v curl >/dev/null || install_packages curl
build_server
run_vitest commands
