#!/usr/bin/env bash
# Brings the real programs that the demo and the tests run: into target/tools, and nowhere else.
#
#   tools/setup.sh [check]
#
# Debian packages are downloaded and unpacked, never installed, so no service of theirs is enabled or
# started, no user or file of the system changes, and root is not needed. With `check`, cargo-deny is built as well.
# A second run finds its stamps and does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/target/tools
mkdir -p "$tools/bin" "$tools/stamps" "$tools/log"

say() { printf '\033[2m%s\033[0m\n' "setup: $*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# once NAME INPUT COMMAND...: runs COMMAND unless it has already succeeded with the same INPUT.
once() {
  local name=$1 stamp code
  stamp=$tools/stamps/$name-$(printf '%s' "$2" | sha256sum | cut -c1-16)
  shift 2
  [ -e "$stamp" ] && return
  # In a condition (`if ! "$@"`) bash would ignore `set -e` in all of COMMAND, and a failed step would be stamped.
  set +e
  (set -e; "$@") >"$tools/log/$name.log" 2>&1
  code=$?
  set -e
  if [ "$code" != 0 ]; then
    tail -n 20 "$tools/log/$name.log" >&2
    fail "$name failed; the whole output is in target/tools/log/$name.log"
  fi
  rm -f "$tools/stamps/$name"-*
  touch "$stamp"
}

# What is unpacked, and what for.
packages=(
  prometheus                       # Prometheus, promtool
  prometheus-alertmanager          # Alertmanager
  prometheus-node-exporter         # node_exporter
  openssh-server openssh-client busybox-static # guests, and what signs in to them
  libwrap0 libnsl2 libtirpc3 libssl3 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0 libkeyutils1 # theirs
  libjs-bootstrap4 libjs-eonasdan-bootstrap-datetimepicker libjs-jquery libjs-jquery-hotkeys libjs-moment
  libjs-moment-timezone libjs-mustache libjs-popper.js libjs-rickshaw libjs-d3 fonts-glyphicons-halflings # its pages
  golang-1.19-go golang-1.19-src   # builds vcsim
  golang-github-vmware-govmomi-dev golang-github-google-uuid-dev # VMware's vCenter simulator, as a library
  python3-pip-whl                  # pip, which Debian's Python is without
)

# apt-get with package lists of our own: the system's may be missing or name versions that are no longer there, and
# only root can renew them.
apt() {
  apt-get -o APT::Sandbox::User=root -o Acquire::Languages=none \
    -o Dir::State::Lists="$tools/debs/lists" -o Dir::Cache="$tools/debs/cache" "$@"
}

unpack_packages() {
  command -v apt-get dpkg-deb >/dev/null || fail "apt-get and dpkg-deb are needed: this set-up is for Debian 12"
  rm -rf "$tools/debs" "$tools/root"
  mkdir -p "$tools/debs/lists" "$tools/debs/cache" "$tools/root"
  apt update || echo "some sources of this system fail; what is needed may be in the others"
  (cd "$tools/debs" && apt download "${packages[@]}")
  local deb
  for deb in "$tools"/debs/*.deb; do dpkg-deb -x "$deb" "$tools/root"; done
  # The pages of Prometheus link to scripts by absolute paths below /usr/share: point them at the unpacked ones.
  find "$tools/root/usr/share/prometheus" -type l -lname '/usr/share/*' | while read -r link; do
    ln -sfn "$tools/root$(readlink "$link")" "$link"
  done
  ln -sfn ../root/usr/bin/prometheus "$tools/bin/prometheus"
  ln -sfn ../root/usr/bin/promtool "$tools/bin/promtool"
  ln -sfn ../root/usr/bin/prometheus-node-exporter "$tools/bin/node_exporter"
  with_libraries sbin/sshd
  with_libraries bin/ssh
  with_libraries bin/ssh-keygen
  with_libraries bin/ssh-agent
  with_libraries bin/ssh-add
  ln -sfn ../root/bin/busybox "$tools/bin/busybox"
  relocate_alertmanager
  ln -sfn ../root/usr/bin/amtool "$tools/bin/amtool"
  rm -rf "$tools/debs"
}

# with_libraries PROGRAM: a program in bin that finds the libraries that were unpacked with it.
with_libraries() {
  local name=${1##*/}
  rm -f "$tools/bin/$name"
  cat >"$tools/bin/$name" <<WRAPPER
#!/bin/sh
root=\$(dirname "\$(readlink -f "\$0")")/../root
export LD_LIBRARY_PATH="\$root/usr/lib/$(uname -m)-linux-gnu"
exec "\$root/usr/$1" "\$@"
WRAPPER
  chmod +x "$tools/bin/$name"
}

# Debian's Alertmanager opens /usr/share/prometheus/alertmanager/default.tmpl and ends where it is not. That path
# (34 bytes) becomes one of the same length that leads to descriptor 9, which a wrapper opens on the unpacked folder.
relocate_alertmanager() {
  local binary=$tools/root/usr/bin/prometheus-alertmanager
  sed -b -i 's#/usr/share/prometheus/alertmanager#/proc/self/fd/9///////////////////#g' "$binary"
  rm -f "$tools/bin/alertmanager"
  cat >"$tools/bin/alertmanager" <<'WRAPPER'
#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/../root
exec 9<"$root/usr/share/prometheus/alertmanager"
exec "$root/usr/bin/prometheus-alertmanager" "$@"
WRAPPER
  chmod +x "$tools/bin/alertmanager"
}

build_vcsim() {
  GOROOT=$tools/root/usr/lib/go-1.19 GOPATH=$tools/root/usr/share/gocode GO111MODULE=off GOFLAGS= \
    GOCACHE=$tools/go-cache "$tools/root/usr/lib/go-1.19/bin/go" build -o "$tools/bin/vcsim" tools/vcsim/main.go
  rm -rf "$tools/go-cache"
}

make_venv() {
  if ! python3 -m venv --clear "$tools/venv"; then
    # Debian's Python without python3-venv: the unpacked pip installs itself, as that package would.
    python3 -m venv --clear --without-pip "$tools/venv"
    local pip=("$tools"/root/usr/share/python-wheels/pip-*.whl)
    "$tools/venv/bin/python" "${pip[0]}/pip" install --disable-pip-version-check --no-index "${pip[0]}"
  fi
  "$tools/venv/bin/pip" install --disable-pip-version-check -r tools/requirements.txt
}

cargo_deny=0.20.2
build_cargo_deny() {
  CARGO_TARGET_DIR=$tools/cargo-deny cargo install cargo-deny --locked --version "$cargo_deny" --root "$tools"
  rm -rf "$tools/cargo-deny"
}

[ -e "$tools/bin/vcsim" ] || say "the first run downloads and builds for some minutes (about 400 MB, into target/tools)"
once packages "${packages[*]} $(declare -f apt unpack_packages with_libraries relocate_alertmanager)" unpack_packages
once vcsim "$(cat tools/vcsim/main.go) $(declare -f build_vcsim)" build_vcsim
once python "$(cat tools/requirements.txt)" make_venv
case ${1-} in
  '') ;;
  check) once cargo-deny "$cargo_deny" build_cargo_deny ;;
  *) fail "unknown argument \`$1\`: expected nothing or \`check\`" ;;
esac
