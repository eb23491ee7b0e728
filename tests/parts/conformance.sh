source tests/parts/common.sh
install_npm_packages
build_server
# The suite as a whole: a version or an option that leaves some of it out is noticed here.
run_vitest conformance 338
