source tests/parts/common.sh
install_npm_packages
build_server

# A PostgreSQL server: the newest that is installed, else Debian's.
newest_postgres() {
  ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1
}
if [[ ! -x $(newest_postgres)/initdb ]]; then
  install_packages postgresql
fi
FLOE_POSTGRES_BIN=$(newest_postgres)
export FLOE_POSTGRES_BIN

run_vitest replica 6
