#!/bin/bash
# The own tests of PyKCS11, as its source package carries them: written for SoftHSM2, so a module of
# ours stands in its place.
set -eu
CLIENT=pykcs11
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/python/own_tests.sh"
fetch test PyKCS11==1.5.20 asn1crypto==1.5.1

# They have their PINs in them.
stand_in box
SO_PIN=123456 PIN=1234
new_token box >/dev/null

export PYKCS11LIB="$MODULE"
ask

run_each
done_with
