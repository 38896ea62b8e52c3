#!/bin/sh
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
ask newer_than_softhsm1

we_differ "test_asymetric.TestUtil.test_RSA_OAEPwithAAD" \
    "a label with SHA-1 is refused in SoftHSM2's place, as there"

run_each
done_with
