source tests/parts/common.sh
install_npm_packages
run_vitest protocol
