source tests/parts/common.sh
export RUSTDOCFLAGS=-Dwarnings
check cargo doc --locked --no-deps --workspace --all-features
