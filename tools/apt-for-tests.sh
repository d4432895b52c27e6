#!/usr/bin/env bash
# Brings the real programs that tests run against, where root and apt are there. Elsewhere those tests skip and say so.
set -uo pipefail
declare -A need=(
    [prometheus]=prometheus [prometheus-alertmanager]=prometheus-alertmanager
    [victoria-metrics]=victoria-metrics [chromium]=chromium [goaccess]=goaccess
    [nft]=nftables [iptables-save]=iptables [ip]=iproute2
)
missing=()
for program in "${!need[@]}"; do
    command -v "$program" >/dev/null || missing+=("${need[$program]}")
done
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed, tests that need them will skip: ${missing[*]}"
    exit 0
fi
echo "installing for the tests: ${missing[*]}"
apt-get update -qq || true
# Each by itself: one that a distribution lacks must not cost the others. apt-get must not start daemons here.
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d.mainstay && chmod +x /usr/sbin/policy-rc.d.mainstay
[ -e /usr/sbin/policy-rc.d ] || { mv /usr/sbin/policy-rc.d.mainstay /usr/sbin/policy-rc.d; ours=1; }
for package in "${missing[@]}"; do
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 \
        || echo "could not install $package; its tests will skip"
done
[ -n "${ours:-}" ] && rm -f /usr/sbin/policy-rc.d
rm -f /usr/sbin/policy-rc.d.mainstay
exit 0
