source tests/parts/common.sh

# The crates without I/O must build where there is none.
CRATES=(floe-proto floe-core floe-surfaces)
TARGET=wasm32-unknown-unknown
# A target folder of its own: its compiler may be another one.
WASM_DIR=$TARGET_DIR/wasm

main() {
  if has_std rustc; then
    build_crates env CARGO_TARGET_DIR="$WASM_DIR" cargo
  elif has_packaged_compiler; then
    build_with_packaged_compiler
  elif command -v rustup >/dev/null && timeout 120 rustup target add "$TARGET"; then
    build_crates env CARGO_TARGET_DIR="$WASM_DIR" cargo
  else
    echo "missing: rustup target add $TARGET, or as root the packages ${PACKAGES[*]}"
    exit 1
  fi
}

# Whether a compiler has the standard library of the target.
has_std() {
  compgen -G "$("$1" --print target-libdir --target "$TARGET")/libcore-*.rlib" >/dev/null
}

# Runs a cargo once per crate, so that each is built with its own features alone.
build_crates() {
  local crate
  for crate in "${CRATES[@]}"; do
    check "$@" build --locked --target "$TARGET" -p "$crate"
  done
}

# Debian's compiler for its browsers: newer than its usual one, and with the sources of the
# standard library, from which that of the target is built once.
PACKAGES=(rustc-web cargo-web rust-web-src)

has_packaged_compiler() {
  is_new_enough || { install_packages "${PACKAGES[@]}" && is_new_enough; }
}

# Whether all packages are there, and their compiler is not older than the oldest we support.
is_new_enough() {
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
  found=$(/usr/bin/rustc -V 2>/dev/null | cut -d ' ' -f 2)
  dpkg-query -W "${PACKAGES[@]}" >/dev/null 2>&1 &&
    [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1) == "$wanted" ]]
}

build_with_packaged_compiler() {
  local version std=/usr/lib/rustlib/$TARGET/lib
  version=$(/usr/bin/rustc -vV)
  say "built by Debian's $(cut -d ' ' -f 1,2 <<<"${version%%$'\n'*}")"
  if ! has_std /usr/bin/rustc || [[ $(cat "$std/built-by" 2>/dev/null) != "$version" ]]; then
    build_std "$std" "$version"
  fi
  if [[ $(cat "$WASM_DIR/built-by" 2>/dev/null) != "$version" ]]; then
    rm -rf "$WASM_DIR"
    mkdir -p "$WASM_DIR"
    echo "$version" >"$WASM_DIR/built-by"
  fi
  local sysroot host
  sysroot=$(rustc --print sysroot)
  host=$(rustc -vV | sed -n 's/^host: //p')
  build_crates env RUSTC=/usr/bin/rustc CARGO_TARGET_DIR="$WASM_DIR" \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$sysroot/lib/rustlib/$host/bin/rust-lld" \
    /usr/bin/cargo
}

build_std() {
  local std=$1 version=$2 work
  work=$(mktemp -d)
  mkdir "$work/src"
  echo '#![no_std]' >"$work/src/lib.rs"
  printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2021"\n' >"$work/Cargo.toml"
  (cd "$work" && env RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc RUSTFLAGS=-Cembed-bitcode=yes \
    CARGO_TARGET_DIR="$work/target" /usr/bin/cargo build --release \
    -Zbuild-std=std,panic_abort --target "$TARGET")
  rm "$work/target/$TARGET/release/deps"/libempty-*.rlib
  as_root rm -rf "$std"
  as_root mkdir -p "$std"
  as_root cp "$work/target/$TARGET/release/deps"/lib*.rlib "$std/"
  as_root tee "$std/built-by" <<<"$version"
  rm -rf "$work"
}

main
