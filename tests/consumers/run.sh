#!/usr/bin/env bash
# Uses weir as its users do. run.sh BUILD_DIR, started by ctest with CMAKE, CXX, GENERATOR, VERSION.
#
#   static   what BUILD_DIR built, installed; used by find_package and by pkg-config
#   shared   built by add_subdirectory with BUILD_SHARED_LIBS=ON, then installed and used likewise
#   no TLS   the same, static, with WEIR_TLS=OFF: no trace of OpenSSL may be in it
#
# That is one more compilation of the library, without optimisation or debug information; of the last,
# only what differs.
set -euo pipefail

build=$1
here=$(cd "$(dirname "$0")" && pwd)
source_dir=$(cd "$here/../.." && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export CXX

fail() { echo "FAILED: $*" >&2; exit 1; }

configure() {  # configure SOURCE_DIR BUILD_DIR [OPTION...]
  local from=$1 to=$2
  shift 2
  "$CMAKE" -S "$from" -B "$to" -G "$GENERATOR" -DCMAKE_BUILD_TYPE=None --log-level=WARNING "$@"
}

check_runs() {  # check_runs PROGRAM LINKAGE [WHAT IT SAYS BESIDES ITS VERSION]
  local said linked expected=$VERSION${3:-}
  said=$("$1") || fail "$1 does not run"
  [ "$said" = "$expected" ] || fail "$1 says '$said', not '$expected'"
  linked=$(ldd "$1" | grep -c 'libweir\.so\.0 ' || true)
  [ "$2/$linked" = static/0 ] || [ "$2/$linked" = shared/1 ] || fail "$1 is not linked $2"
  echo "ok: ${1#"$tmp"/}"
}

check_prefix() {  # check_prefix PREFIX LINKAGE: builds and runs against an installed library
  # Moved after the installation: nothing in it may depend on where it was installed.
  local prefix=$1.moved linkage=$2 out=$tmp/consumers-$2
  mv "$1" "$prefix"
  ! grep -rqF -e "$source_dir/include" -e "$source_dir/src" -e "$build" -e "$1" \
      "$prefix/include" "$prefix"/lib*/cmake "$prefix"/lib*/pkgconfig ||
    fail "an installed file names a directory of the build"

  configure "$here/find_package" "$out" -DCMAKE_PREFIX_PATH="$prefix"
  "$CMAKE" --build "$out"
  check_runs "$out/consumer" "$linkage"

  export PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name weir.pc)")
  [ "$(pkg-config --modversion weir)" = "$VERSION" ] || fail "weir.pc has another version"
  local static=
  [ "$linkage" = shared ] || static=--static
  make -s -C "$here/pkg_config" consumer OUT="$out/pkg_config_consumer" STATIC=$static
  LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH") check_runs "$out/pkg_config_consumer" "$linkage"
}

"$CMAKE" --install "$build" --prefix "$tmp/static" --component library >/dev/null
if ls "$tmp"/static/lib*/libweir.so >/dev/null 2>&1; then
  check_prefix "$tmp/static" shared  # BUILD_DIR itself was configured with BUILD_SHARED_LIBS=ON
else
  check_prefix "$tmp/static" static
fi

configure "$here/add_subdirectory" "$tmp/added" -DBUILD_SHARED_LIBS=ON -DWEIR_INSTALL=ON
"$CMAKE" --build "$tmp/added" --parallel 2
check_runs "$tmp/added/consumer" shared

"$CMAKE" --install "$tmp/added" --prefix "$tmp/shared" >/dev/null
check_prefix "$tmp/shared" shared

"$CMAKE" "$tmp/added" -DBUILD_SHARED_LIBS=OFF -DWEIR_TLS=OFF --log-level=WARNING
"$CMAKE" --build "$tmp/added" --parallel 2
check_runs "$tmp/added/consumer" static " without TLS"
! ldd "$tmp/added/consumer" | grep -E 'libssl|libcrypto' || fail "OpenSSL is in a build without TLS"
"$CMAKE" --install "$tmp/added" --prefix "$tmp/without_tls" >/dev/null
! grep -ri openssl "$tmp"/without_tls/lib*/cmake "$tmp"/without_tls/lib*/pkgconfig ||
  fail "a build without TLS asks for OpenSSL"
