#!/bin/bash
# Python: programs over python-pkcs11 and PyKCS11.
set -eu
CLIENT=python
. "$(dirname "$0")/lib.sh"
need python3 python3
python3 -m pip --version >/dev/null 2>&1 || need pip3 python3-pip

# The packages are installed once, beside what is built.
PACKAGES=${CARGO_TARGET_DIR:-$(dirname "$0")/../../target}/softhsm-tests/python
cat >"$WORK/wanted" <<LIST
python-pkcs11==0.10.1
PyKCS11==1.5.20
cryptography==50.0.2
LIST
cmp -s "$WORK/wanted" "$PACKAGES/installed" || {
    rm -rf "$PACKAGES"
    python3 -m pip install --quiet --root-user-action=ignore --only-binary :all: \
        --target "$PACKAGES" --requirement "$WORK/wanted"
    cp "$WORK/wanted" "$PACKAGES/installed"
}

new_token box >/dev/null

program() {
    PYTHONPATH="$PACKAGES" timeout 60 python3 "$(dirname "$0")/python/program.py" "$MODULE" "$PIN" "$@"
}
run "python-pkcs11: slots and tokens" program tokens
run "python-pkcs11: RSA" program rsa_keys
run "python-pkcs11: ECDSA, P-256" program ec_keys secp256r1
run "python-pkcs11: ECDSA, P-384" program ec_keys secp384r1
run "python-pkcs11: ECDSA, P-521" program ec_keys secp521r1
run "python-pkcs11: Ed25519" program ed25519_keys
run "python-pkcs11: Ed448" program ed448_keys
run "python-pkcs11: ECDH, P-256" program ecdh secp256r1
run "python-pkcs11: ECDH, P-384" program ecdh secp384r1
run "python-pkcs11: AES" program aes
run "python-pkcs11: wrapping" program wrapping
run "python-pkcs11: digests" program digests
run "python-pkcs11: MACs" program macs
run "python-pkcs11: an imported key" program imported
run "python-pkcs11: random" program random
run "python-pkcs11: a wrong PIN" program wrong_pin
run "PyKCS11: RSA" program pykcs11_rsa
softhsm2_fails "PyKCS11: X448" "X448 is under the Edwards mechanism (#647)"
run "PyKCS11: X448" program pykcs11_x448
run "PyKCS11: AES, digest, random" program pykcs11_symmetric

done_with
