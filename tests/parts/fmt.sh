source tests/parts/common.sh
check cargo fmt --all --check -- --color never
