#!/bin/sh
# Installs dist/aprp_*.deb in a fresh Debian of this release, and says what is wrong:
#
#   lintian; the package's files; the unit (systemd-analyze verify); the service, started as the unit
#   has it by deb/stand_in.py, since there is no systemd in a chroot: TLS with a key that only its
#   group may read, passwords, workers, logs, `aprp ctl`, reload, stop; an upgrade that keeps a
#   changed configuration; remove; purge, after which nothing may be left.
#
# As root, with debootstrap (and lintian, if there is one). BASE=FOLDER is kept for the next time.
set -eu
cd "$(dirname "$0")/.."
umask 022
export LC_ALL=C

[ "$(id -u)" = 0 ] || { echo "deb/try.sh needs root, for the chroot" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "as root: apt install debootstrap" >&2; exit 1; }
deb=$(ls -t dist/aprp_*.deb 2>/dev/null | head -n 1)
[ -n "$deb" ] || { echo "there is no package in dist/; build it with: make deb" >&2; exit 1; }

work=$(mktemp -d)
root=$work/root
base=${BASE:-$work/base}
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
trap 'rm -rf "$work"' EXIT

step() { printf '\n== %s\n' "$*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
# What the package may leave: nothing but what dpkg and apt keep of any package.
files() { (mkdir -p "$root/opt" && cd "$root" && find etc opt usr var -path var/lib/dpkg -prune -o -path var/lib/apt -prune \
  -o -path var/cache -prune -o -path var/log/apt -prune -o -path usr/share/mime -prune \
  -o -name dpkg.log -o -name '*.dpkg-*' -o -print | sort); }

step "lintian"
if command -v lintian >/dev/null; then
  lintian --allow-root --fail-on error,warning "$deb" || fail "lintian, above"
else
  echo "lintian isn't installed"
fi

step "Debian $release"
if [ ! -d "$base/usr/lib/systemd" ]; then
  debootstrap --variant=minbase --include=python3,init-system-helpers,systemd,openssl "$release" \
    "$base" "${MIRROR:-http://deb.debian.org/debian}" >"$work/debootstrap.log" 2>&1 ||
    fail "debootstrap: $(tail -n 5 "$work/debootstrap.log")"
fi
cp -a "$base" "$root"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
mkdir -p "$root/try"
cp deb/stand_in.py "$root/try/"
files >"$work/before"
cp "$root/etc/passwd" "$root/etc/group" "$work/"

# The same package with another version, as an upgrade.
dpkg-deb -R "$deb" "$work/next"
sed -i 's/^Version: .*/&.1/' "$work/next/DEBIAN/control"
echo "# a comment that a later version has" >>"$work/next/etc/aprp/aprp.yaml"
dpkg-deb --root-owner-group -Znone --build "$work/next" "$root/try/next.deb" >/dev/null
cp "$deb" "$root/try/first.deb"

step "install"
inside dpkg -i /try/first.deb
inside sh -ec '
  getent passwd aprp
  [ "$(stat -c "%U:%G %a" /etc/aprp/aprp.yaml)" = "root:aprp 640" ]
  [ "$(stat -c "%U:%G %a" /var/log/aprp)" = "aprp:adm 750" ]
  [ -L /etc/systemd/system/multi-user.target.wants/aprp.service ]
  test -f /usr/share/man/man1/aprp.1.gz
  aprp check --config /etc/aprp/aprp.yaml
' || fail "what was installed"
inside systemd-analyze verify /lib/systemd/system/aprp.service /lib/systemd/system/aprp.socket \
  2>"$work/verify" || true
grep -i 'aprp' "$work/verify" && fail "systemd-analyze verify, above"

step "the service, as the unit starts it"
serve() { unshare --mount --net --pid --fork --propagation private \
  python3 deb/stand_in.py "$root" "$@" || fail "the service"; }
serve plain
serve everything

step "upgrade"
sed -i 's/^stop_timeout: .*/stop_timeout: 7s/' "$root/etc/aprp/aprp.yaml"
inside dpkg --force-confdef --force-confold -i /try/next.deb
grep -q '^stop_timeout: 7s' "$root/etc/aprp/aprp.yaml" || fail "the configuration was lost"
serve plain

step "remove"
inside dpkg -r aprp
[ ! -e "$root/opt/aprp" ] || fail "/opt/aprp is left"
[ -f "$root/etc/aprp/aprp.yaml" ] || fail "the configuration is gone before the purge"
inside dpkg --force-confold -i /try/first.deb >/dev/null
grep -q '^stop_timeout: 7s' "$root/etc/aprp/aprp.yaml" || fail "the configuration was lost"

step "purge"
inside dpkg -P aprp
files >"$work/after"
diff "$work/before" "$work/after" || fail "left by the purge, above"
for file in passwd group; do
  diff "$work/$file" "$root/etc/$file" || fail "/etc/$file isn't what it was"
done
echo
echo "all is well"
