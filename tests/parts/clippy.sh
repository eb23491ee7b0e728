source tests/parts/common.sh
check cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
