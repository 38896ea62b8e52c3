#!/bin/bash
# The own tests of python-pkcs11, as its source package carries them. They tell SoftHSM2 by the name
# of its library, and then ask more; so ours is called by that name, in SoftHSM2's place.
set -eu
CLIENT=python-pkcs11
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/python/own_tests.sh"
fetch tests python-pkcs11==0.10.1 cryptography==50.0.2 parameterized==0.9.0

stand_in box
ln -s "$MODULE" "$WORK/libsofthsm2.so"
new_token box >/dev/null

export PKCS11_MODULE="$WORK/libsofthsm2.so" PKCS11_TOKEN_LABEL=box PKCS11_TOKEN_PIN="$PIN" \
    PKCS11_TOKEN_SO_PIN="$SO_PIN"
ask

run_each
done_with
