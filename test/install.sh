#!/bin/bash
# Installs what building and testing need: Debian packages (as root, or through sudo) and the npm packages.
# Idempotent: does nothing where all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

# The C side of the build, and the compilers of the test programs.
build=(g++ make cmake linux-libc-dev musl-tools golang-go libseccomp-dev libpcap-dev)
# Real programs that the tests run as guests.
programs=(
  apache2-utils bind9-dnsutils bsdextrautils busybox caddy curl dnsmasq-base e2fsprogs fdisk gdb git iperf3 iproute2
  iputils-arping iputils-ping libpython3.11-testsuite mosh mount
  net-tools netcat-openbsd nginx-light openssh-client openssh-server openssl procps python3 python3-venv radvd redis-server
  redis-tools rsync socat sqlite3 strace tcpdump unbound util-linux vim wget
)
# The other side of our VDE protocol.
vde=(libvdeplug2 libvdeplug-slirp vdens vdeplug vde-switch)

missing=()
for package in "${build[@]}" "${programs[@]}" "${vde[@]}"; do
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done

as_root() {
  if [[ $(id -u) == 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "test/install.sh: neither root nor sudo; install these packages first: ${missing[*]}" >&2
    exit 1
  fi
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}

# The servers among the packages are for the tests: they are not to be started on this machine.
policy=/usr/sbin/policy-rc.d
if ((${#missing[@]})) && [[ ! -e $policy ]]; then
  trap 'as_root rm -f $policy' EXIT
  as_root install -m 755 /dev/stdin $policy <<<$'#!/bin/sh\nexit 101'
fi

if ((${#missing[@]})); then
  echo "installing: ${missing[*]}"
  # The package lists may be missing or out of date: then once more with new ones.
  apt install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
    { apt update && apt install -y --no-install-recommends "${missing[@]}" >/dev/null; }
fi

# Devices with handlers of their own, and a file system whose server is a guest, need it.
if [[ ! -e /dev/fuse ]]; then
  as_root modprobe -q fuse || true
  [[ -e /dev/fuse ]] || { as_root mknod /dev/fuse c 10 229 && as_root chmod 666 /dev/fuse; } ||
    echo 'test/install.sh: /dev/fuse cannot be made; the tests expect that what needs it is refused' >&2
fi

# The native parts are built by the tests themselves, with warnings as errors.
npm install --ignore-scripts --no-audit --no-fund --loglevel=error
