#!/bin/bash
# BIND: dnssec-keyfromlabel and dnssec-signzone, with keys of the token.
#
# Debian 12's own BIND, 9.18, asks no token for keys: it is built without OpenSSL's engines ("no engine"),
# and knows no other way. That of the backports, 9.20, has OpenSSL's provider find them. What it signed,
# the older one reads.
set -eu
CLIENT=bind
. "$(dirname "$0")/lib.sh"
need dnssec-verify bind9-utils
ZONE=$(dirname "$0")/dnssec/zone
backport bind9-utils bind9-libs
BIND=$BACKPORTS
pkcs11_provider

new_token box >/dev/null

provider_configuration >"$WORK/plain.cnf"
# SoftHSM2 crashes when it is told to end; and before, where the program's allocator is jemalloc, as
# BIND's: the provider loads a module with RTLD_DEEPBIND, and then it gives back to the one what it has
# from the other. That would be all that there is to see of it, so it gets what it needs.
PRELOAD=
case $SOFTHSM2 in
    yes)
        provider_configuration "pkcs11-module-quirks = no-deinit" >"$WORK/openssl.cnf"
        PRELOAD="libc.so.6 libstdc++.so.6"
        ;;
    no) provider_configuration >"$WORK/openssl.cnf" ;;
esac

with() {
    program=$1
    shift
    OPENSSL_CONF="$WORK/openssl.cnf" LD_PRELOAD="$PRELOAD" \
        LD_LIBRARY_PATH="$(echo "$BIND"/usr/lib/*-linux-gnu)" timeout 60 "$BIND/usr/bin/$program" "$@"
}

# from_label ALGORITHM TYPE: two keys of the token, and a file for each, in which BIND has the public
# half and the label. Keys are random, and two of them in some thousands have tags that BIND does not
# let stand side by side; whoever meets that makes two others.
from_label() {
    tries=0
    until labelled "$@" >"$WORK/said" 2>&1; do
        cat "$WORK/said"
        grep -q -E 'could collide|already exists' "$WORK/said"
        tries=$((tries + 1))
        test "$tries" -lt 5
    done
    if grep -E '^Private(Key|Exponent): ' "$WORK/$1"/*.private; then exit 1; fi
}

labelled() {
    rm -rf "${WORK:?}/$1"
    mkdir "$WORK/$1" &&
        file_for "$1" "$2" ksk -f KSK &&
        file_for "$1" "$2" zsk &&
        test "$(cat "$WORK/$1"/*.private | grep -c '^Label: ')" -eq 2
}

# file_for ALGORITHM TYPE USE [OPTIONS]: a new key of a name of its own, and BIND's file for it.
file_for() {
    algorithm=$1
    type=$2
    id=$(openssl rand -hex 8)
    label=$3-$id
    shift 3
    new_key_pair --key-type "$type" --label "$label" --id "$id" --usage-sign &&
        with dnssec-keyfromlabel -a "$algorithm" -K "$WORK/$algorithm" \
            -l "pkcs11:token=box;object=$label" "$@" example.test
}

# signed ALGORITHM: a zone with its keys, and what an independent reader says of it.
signed() {
    with dnssec-signzone -S -K "$WORK/$1" -d "$WORK/$1" -o example.test -f "$WORK/$1/signed" "$ZONE"
    dnssec-verify -o example.test "$WORK/$1/signed"
}
# Ed25519 is not here: BIND writes such a key down with its value alone, whatever the module.
for kind in "RSASHA256 rsa:2048" "ECDSAP256SHA256 EC:prime256v1" "ECDSAP384SHA384 EC:secp384r1"; do
    # shellcheck disable=SC2086
    run "dnssec-keyfromlabel, ${kind% *}" from_label $kind
    run "dnssec-signzone, ${kind% *}" signed "${kind% *}"
done

# As everybody's is: with nothing that SoftHSM2 needs.
as_it_is() {
    cp "$WORK/plain.cnf" "$WORK/openssl.cnf"
    PRELOAD=
    rm "$WORK/ECDSAP256SHA256/signed"
    signed ECDSAP256SHA256
}
softhsm2_fails "dnssec-signzone, as it is" "with jemalloc it frees what another has allocated"
run "dnssec-signzone, as it is" as_it_is

done_with
