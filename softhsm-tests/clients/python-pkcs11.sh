#!/bin/sh
# The own tests of python-pkcs11, as its source package carries them. They tell SoftHSM2 by the name
# of its library, and then ask more; so ours is called by that name, in SoftHSM2's place.
set -eu
CLIENT=python-pkcs11
. "$(dirname "$0")/lib.sh"
need python3 python3
python3 -m pip --version >/dev/null 2>&1 || need pip3 python3-pip

# The packages are installed once, beside what is built.
PACKAGES=${CARGO_TARGET_DIR:-$(dirname "$0")/../../target}/softhsm-tests/python-pkcs11
cat >"$WORK/wanted" <<LIST
python-pkcs11==0.10.1
cryptography==50.0.2
parameterized==0.9.0
LIST
cmp -s "$WORK/wanted" "$PACKAGES/installed" || {
    rm -rf "$PACKAGES"
    mkdir -p "$PACKAGES/source"
    python3 -m pip install --quiet --root-user-action=ignore --only-binary :all: \
        --target "$PACKAGES" --requirement "$WORK/wanted"
    timeout 300 python3 -m pip download --quiet --no-deps --no-binary python-pkcs11 \
        --dest "$PACKAGES/source" python-pkcs11==0.10.1
    # The tests alone: the package itself is the one that is built.
    tar --extract --gzip --strip-components 1 --directory "$PACKAGES/source" \
        --file "$PACKAGES/source"/python_pkcs11-*.tar.gz --wildcards '*/tests'
    cp "$WORK/wanted" "$PACKAGES/installed"
}

stand_in box
ln -s "$MODULE" "$WORK/libsofthsm2.so"
new_token box >/dev/null

PYTHONPATH="$PACKAGES" PKCS11_MODULE="$WORK/libsofthsm2.so" PKCS11_TOKEN_LABEL=box \
    PKCS11_TOKEN_PIN="$PIN" PKCS11_TOKEN_SO_PIN="$SO_PIN" \
    timeout 300 python3 "$(dirname "$0")/python/own_tests.py" "$PACKAGES/source" "$WORK/outcomes" \
    >"$WORK/said" 2>&1 || tail -n 5 "$WORK/said"
test -s "$WORK/outcomes"

# came_to NAME: the outcome of a test, and why.
came_to() {
    awk -F '\t' -v name="$1" '$1 == name { print $3; found = $2 == "pass" } END { exit !found }' \
        "$WORK/outcomes"
}

we_differ "test_ecc.ECCTests.test_derive_key" "the curve prime192v1 is not computed"
we_differ "test_ecc.ECCTests.test_import_key_params" \
    "a curve is named, and not described by its parameters"

run "to the end" came_to "to the end"
while IFS='	' read -r name outcome _; do
    case $outcome in
        # Its own reasons: a mechanism that is not there.
        skip) ;;
        *) test "$name" = "to the end" || run "$name" came_to "$name" ;;
    esac
done <"$WORK/outcomes"

done_with
