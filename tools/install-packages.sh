#!/usr/bin/env bash
# Installs the Debian packages that the named groups need and that are not there yet; says nothing
# when none is missing. install-packages.sh GROUP...   (PACKAGES=no: only look, never install)
#
# On another system it names what is wanted, and goes on if the commands are there.
set -euo pipefail

declare -A packages=(
  [build]="g++ cmake ninja-build libssl-dev liburing-dev libcli11-dev libfmt-dev"
  [demo]="netcat-openbsd"
  [test]="libgtest-dev libgmock-dev python3 pkg-config socat netcat-openbsd openssl curl gnutls-bin \
valgrind"
  [bench]="libuv1-dev libasio-dev libevent-dev libbenchmark-dev python3 python3-uvloop \
python3-matplotlib pkg-config iproute2 strace haproxy socat"
  [clang]="clang-16 libclang-rt-16-dev"
  [lint]="clang-format-16 clang-tidy-16 python3"
)
declare -A commands=(
  [build]="c++ cmake ninja" [demo]="nc" [test]="python3 pkg-config" [bench]="python3 ip"
  [clang]="clang++-16" [lint]="clang-format-16 run-clang-tidy-16"
)

fail() { echo "install-packages: $*" >&2; exit 1; }

wanted=() needed_commands=()
for group in "$@"; do
  [ -n "${packages[$group]:-}" ] || fail "no group '$group'; there are: ${!packages[*]}"
  read -ra more <<<"${packages[$group]}" && wanted+=("${more[@]}")
  read -ra more <<<"${commands[$group]}" && needed_commands+=("${more[@]}")
done

if ! command -v dpkg-query >/dev/null; then
  missing=()
  for command in "${needed_commands[@]}"; do
    command -v "$command" >/dev/null || missing+=("$command")
  done
  echo "install-packages: this is not Debian; wanted, by their Debian names: ${wanted[*]}" >&2
  [ ${#missing[@]} -eq 0 ] || fail "these commands are missing: ${missing[*]}"
  exit 0
fi

missing=()
for package in "${wanted[@]}"; do
  [[ " ${missing[*]-} " != *" $package "* ]] || continue
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
    missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
[ "${PACKAGES:-yes}" != no ] || fail "not installed: ${missing[*]}"

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null ||
    fail "neither root nor sudo; as root, run: apt-get install ${missing[*]}"
  as_root=(sudo)
fi

echo "installing: ${missing[*]}"
apt_get=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
"${apt_get[@]}" update </dev/null
"${apt_get[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null
