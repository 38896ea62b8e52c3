#!/bin/sh
# DNSSEC: zones signed by BIND's tools with OpenSSL's engine, and by Knot DNS, with keys of the token.
set -eu
CLIENT=dnssec
. "$(dirname "$0")/lib.sh"
need dnssec-keyfromlabel bind9-utils
need dnssec-signzone bind9-utils
need dnssec-verify bind9-utils
need keymgr knot-dnssecutils
need kzonesign knot-dnssecutils
ENGINE=$(ls /usr/lib/*/engines-3/pkcs11.so 2>/dev/null | head -n 1)
need "${ENGINE:-engines-3/pkcs11.so}" libengine-pkcs11-openssl

new_token box >/dev/null
generate() {
    pkcs11-tool --module "$MODULE" --token-label box --login --pin "$PIN" --keypairgen \
        --usage-sign --key-type "$1" --label "$2" --id "$3"
}
generate rsa:2048 rsa-ksk 01 >/dev/null
generate rsa:2048 rsa-zsk 02 >/dev/null
generate EC:prime256v1 p256-ksk 03 >/dev/null
generate EC:prime256v1 p256-zsk 04 >/dev/null
generate EC:secp384r1 p384-ksk 05 >/dev/null
generate EC:secp384r1 p384-zsk 06 >/dev/null

cat >"$WORK/openssl.cnf" <<CONF
openssl_conf = init
[init]
engines = engines
[engines]
pkcs11 = pkcs11
[pkcs11]
engine_id = pkcs11
dynamic_path = $ENGINE
MODULE_PATH = $MODULE
PIN = $PIN
init = 0
CONF
cat >"$WORK/zone" <<ZONE
\$TTL 3600
@    IN SOA ns hostmaster 1 3600 900 604800 3600
     IN NS ns
ns   IN A 127.0.0.1
www  IN A 127.0.0.1
www  IN TXT "signed by a key of the token"
ZONE

with() {
    OPENSSL_CONF="$WORK/openssl.cnf" timeout 60 "$@"
}
from_label() {
    label="pkcs11:token=box;object=$2"
    shift
    with dnssec-keyfromlabel -E pkcs11 -a "$algorithm" -K "$WORK/$algorithm" -l "$label" "${2:--T}" \
        "${3:-DNSKEY}" example.test
}

# bind ALGORITHM KEYS: a key of each kind, then the zone, then what an independent reader says.
bind() {
    algorithm=$1
    mkdir -p "$WORK/$1"
    from_label "$1" "$2-ksk" -f KSK
    from_label "$1" "$2-zsk"
    cp "$WORK/zone" "$WORK/$1/zone"
    with dnssec-signzone -E pkcs11 -S -K "$WORK/$1" -d "$WORK/$1" -o example.test \
        -f "$WORK/$1/signed" "$WORK/$1/zone"
    dnssec-verify -o example.test "$WORK/$1/signed"
}
for kind in "RSASHA256 rsa" "ECDSAP256SHA256 p256" "ECDSAP384SHA384 p384"; do
    test "$(dpkg-query -f '${Version}' -W libengine-pkcs11-openssl 2>/dev/null)" != 0.4.12-0.1 ||
        fails_everywhere "dnssec-signzone, $kind" \
            "with OpenSSL 3 this engine spoils EC keys in BIND's self-test (OpenSC/libp11#456)"
    # shellcheck disable=SC2086
    run "dnssec-signzone, $kind" bind $kind
done

# Knot speaks to the module itself. Its configuration names the token and carries the PIN.
knot_config() {
    mkdir -p "$WORK/$1"
    cp "$WORK/zone" "$WORK/$1/example.test.zone"
    cat >"$WORK/$1/knot.conf" <<CONF
server:
    rundir: $WORK/$1
database:
    storage: $WORK/$1
keystore:
  - id: token
    backend: pkcs11
    config: "pkcs11:token=box;pin-value=$PIN $MODULE"
policy:
  - id: signed
    keystore: token
    algorithm: $2
    single-type-signing: $3
zone:
  - domain: example.test
    storage: $WORK/$1
    file: example.test.zone
    dnssec-signing: on
    dnssec-policy: signed
CONF
}

# knot ALGORITHM SINGLE: Knot makes the keys it needs, and signs; BIND's reader verifies.
knot() {
    knot_config "knot-$1" "$1" "$2"
    timeout 60 kzonesign -c "$WORK/knot-$1/knot.conf" -o "$WORK/knot-$1" example.test
    timeout 60 keymgr -c "$WORK/knot-$1/knot.conf" example.test list
    dnssec-verify ${3:+-z} -o example.test "$WORK/knot-$1/example.test.zone"
}
run "Knot makes keys and signs, RSASHA256" knot RSASHA256 off
run "Knot makes keys and signs, ECDSAP256SHA256" knot ECDSAP256SHA256 off
run "Knot makes keys and signs, ECDSAP384SHA384" knot ECDSAP384SHA384 on -z
softhsm2_fails "Knot makes keys and signs, ED25519" "GnuTLS asks for a key pair by CKM_EDDSA"
run "Knot makes keys and signs, ED25519" knot ED25519 off

# keymgr takes over a key that is on the token, by an identifier as Knot has them.
IMPORTED=0123456789abcdef0123456789abcdef01234567
imported() {
    knot_config imported ECDSAP256SHA256 on
    generate EC:prime256v1 imported "$IMPORTED"
    timeout 60 keymgr -c "$WORK/imported/knot.conf" example.test import-pkcs11 "$IMPORTED" \
        algorithm=ECDSAP256SHA256 ksk=yes zsk=yes
    timeout 60 kzonesign -c "$WORK/imported/knot.conf" -o "$WORK/imported" example.test
    dnssec-verify -z -o example.test "$WORK/imported/example.test.zone"
}
run "keymgr imports a key of the token" imported

done_with
