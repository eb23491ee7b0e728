source tests/parts/common.sh
install_npm_packages
build_server
run_vitest histories
