#!/bin/bash
# Knot DNS: keymgr and kzonesign, with keys of the token.
set -eu
CLIENT=knot
. "$(dirname "$0")/lib.sh"
need dnssec-verify bind9-utils
need keymgr knot-dnssecutils
need kzonesign knot-dnssecutils
ZONE=$(dirname "$0")/dnssec/zone

new_token box >/dev/null

# Knot speaks to the module itself. Its configuration names the token and carries the PIN.
knot_config() {
    mkdir -p "$WORK/$1"
    cp "$ZONE" "$WORK/$1/example.test.zone"
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
run "makes keys and signs, RSASHA256" knot RSASHA256 off
run "makes keys and signs, ECDSAP256SHA256" knot ECDSAP256SHA256 off
run "makes keys and signs, ECDSAP384SHA384" knot ECDSAP384SHA384 on -z
softhsm2_fails "makes keys and signs, ED25519" "GnuTLS asks for a key pair by CKM_EDDSA"
run "makes keys and signs, ED25519" knot ED25519 off

# keymgr takes over a key that is on the token, by an identifier as Knot has them.
IMPORTED=0123456789abcdef0123456789abcdef01234567
imported() {
    knot_config imported ECDSAP256SHA256 on
    new_key_pair --key-type EC:prime256v1 --label imported --id "$IMPORTED" --usage-sign
    timeout 60 keymgr -c "$WORK/imported/knot.conf" example.test import-pkcs11 "$IMPORTED" \
        algorithm=ECDSAP256SHA256 ksk=yes zsk=yes
    timeout 60 kzonesign -c "$WORK/imported/knot.conf" -o "$WORK/imported" example.test
    dnssec-verify -z -o example.test "$WORK/imported/example.test.zone"
}
run "keymgr imports a key of the token" imported

done_with
