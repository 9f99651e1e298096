#!/usr/bin/env bash
# Does the front door open on a machine that has nothing? Makes a minimal Debian 12 with only make and
# git, clones HEAD into it, and runs the make targets there (by default: demo, then test).
#
#   tools/check-fresh-debian.sh [TARGET...]
#
#   FROM=worktree   take the files as they are now instead of HEAD
#   KEEP=1          keep the root directory, to look around with chroot
#
# For developers, on Debian, as root, with debootstrap. The packages come from where this machine
# gets its own: its apt sources, proxy settings, signing keys and CA certificates are copied.
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(id -u)" -eq 0 ] || { echo "must be root, for chroot" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "needs: apt-get install debootstrap" >&2; exit 1; }
[ $# -gt 0 ] || set -- demo test

root=$(mktemp -d "${TMPDIR:-/tmp}/fresh-debian.XXXXXX")
chmod 755 "$root"  # it becomes /, where every user must get in
clean_up() {
  # Never remove a tree that still has the machine's /dev in it.
  for mount in dev/pts dev/shm dev sys proc; do
    if mountpoint -q "$root/$mount"; then umount -l "$root/$mount"; fi
  done
  if grep -q " $root/" /proc/self/mounts; then echo "still mounted under $root" >&2; exit 1; fi
  [ -n "${KEEP:-}" ] && echo "kept: $root" || rm -rf --one-file-system "$root"
}
trap clean_up EXIT

mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Codename: bookworm' | head -n 1)
[ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)
[ -n "$mirror" ] || { echo "apt here knows no mirror; run apt-get update" >&2; exit 1; }

echo "== a minimal Debian in $root"
debootstrap --variant=minbase --include=make,git bookworm "$root" "$mirror" >"$root.log" 2>&1 ||
  { tail -n 20 "$root.log" >&2; exit 1; }
rm "$root.log"

# Only what apt and the network need; packages and their state stay those of a fresh machine.
rm -f "$root/etc/apt/sources.list"
for path in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/keyrings /etc/apt/trusted.gpg.d \
            /etc/ssl/certs /etc/resolv.conf /etc/hosts; do
  if [ -e "$path" ]; then mkdir -p "$root${path%/*}"; cp -rLT "$path" "$root$path" 2>/dev/null || true; fi
done
apt-config dump | grep -iE '^Acquire::(https?|Retries|ForceIPv)' >"$root/etc/apt/apt.conf.d/90network" ||
  true

mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys" && mount --make-rslave "$root/sys"
mount --rbind /dev "$root/dev" && mount --make-rslave "$root/dev"

echo "== the sources: ${FROM:-HEAD}"
if [ "${FROM:-HEAD}" = worktree ]; then
  mkdir "$root/weir"
  git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$root/weir"
else
  git clone -q --no-local . "$root/weir"
fi

for target in "$@"; do
  echo "== make $target"
  started=$SECONDS status=0
  # The proxy variables, if any, are part of the network; nothing else of this shell comes along.
  chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    ${http_proxy+"http_proxy=$http_proxy"} ${https_proxy+"https_proxy=$https_proxy"} \
    make -C /weir "$target" >"$root/$target.log" 2>&1 </dev/null || status=$?
  grep '^installing:' "$root/$target.log" || true
  tail -n 25 "$root/$target.log"
  echo "== make $target: status $status, $((SECONDS - started)) s"
  [ $status -eq 0 ] || exit $status
done
