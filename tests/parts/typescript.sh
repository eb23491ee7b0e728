source tests/parts/common.sh
install_npm_packages
check tests/node_modules/.bin/tsc --noEmit --project tests
