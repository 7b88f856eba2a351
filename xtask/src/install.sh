# Installs the Debian packages named as arguments, as root, and leaves no server of theirs running.
set -eu
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.d/lockstep.conf
mark='Written by cargo xtask up of Lockstep while it installs; if it is left over, remove it.'

tidy() {
    # Also what a killed run has left.
    rm -f "$cluster"
    if grep -qsF "$mark" "$policy"; then rm -f "$policy"; fi
}
trap tidy EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
tidy

# Packages ask here whether they may start their server: 101 is no. An answer that somebody gave already stands.
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\n# %s\nexit 101\n' "$mark" >"$policy"
    chmod 755 "$policy"
fi
# PostgreSQL's package asks here whether to create a cluster of its own.
mkdir -p "${cluster%/*}"
printf '# %s\ncreate_main_cluster = false\n' "$mark" >"$cluster"

export DEBIAN_FRONTEND=noninteractive
# Old lists may do; if they do not, the installation says so.
apt-get -o DPkg::Lock::Timeout=300 update || true
apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends "$@"

# Nor shall they start with the machine.
if command -v systemctl >/dev/null; then
    for package in "$@"; do systemctl disable "$package" || true; done
fi
