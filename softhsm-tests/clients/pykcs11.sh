#!/bin/sh
# The own tests of PyKCS11, as its source package carries them: written for SoftHSM2, so a module of
# ours stands in its place.
set -eu
CLIENT=pykcs11
. "$(dirname "$0")/lib.sh"
need python3 python3
python3 -m pip --version >/dev/null 2>&1 || need pip3 python3-pip

# The packages are installed once, beside what is built.
PACKAGES=${CARGO_TARGET_DIR:-$(dirname "$0")/../../target}/softhsm-tests/pykcs11
cat >"$WORK/wanted" <<LIST
PyKCS11==1.5.20
asn1crypto==1.5.1
LIST
cmp -s "$WORK/wanted" "$PACKAGES/installed" || {
    rm -rf "$PACKAGES"
    mkdir -p "$PACKAGES/source"
    python3 -m pip install --quiet --root-user-action=ignore --only-binary :all: \
        --target "$PACKAGES" --requirement "$WORK/wanted"
    timeout 300 python3 -m pip download --quiet --no-deps --no-binary PyKCS11 \
        --dest "$PACKAGES/source" PyKCS11==1.5.20
    # The tests alone: the package itself is the one that is built.
    tar --extract --gzip --strip-components 1 --directory "$PACKAGES/source" \
        --file "$PACKAGES/source"/pykcs11-*.tar.gz --wildcards '*/test'
    mv "$PACKAGES/source/test" "$PACKAGES/source/tests"
    touch "$PACKAGES/source/tests/__init__.py"
    cp "$WORK/wanted" "$PACKAGES/installed"
}

# They have their PINs in them.
stand_in box
SO_PIN=123456 PIN=1234
new_token box >/dev/null

PYTHONPATH="$PACKAGES" PYKCS11LIB="$MODULE" \
    timeout 300 python3 "$(dirname "$0")/python/own_tests.py" "$PACKAGES/source" "$WORK/outcomes" \
    newer_than_softhsm1 >"$WORK/said" 2>&1 || tail -n 5 "$WORK/said"
test -s "$WORK/outcomes"

# came_to NAME: the outcome of a test, and why.
came_to() {
    awk -F '\t' -v name="$1" '$1 == name { print $3; found = $2 == "pass" } END { exit !found }' \
        "$WORK/outcomes"
}

for name in test_LowLevel.TestUtil.test_LowLevel test_info.TestUtil.test_getInfo \
    test_info.TestUtil.test_getSlotInfo test_info.TestUtil.test_getTokenInfo; do
    we_differ "$name" "it compares the manufacturer's name"
done
we_differ "test_asymetric.TestUtil.test_RSA_OAEPwithAAD" \
    "a label with SHA-1 is refused in SoftHSM2's place, as there"

run "to the end" came_to "to the end"
while IFS='	' read -r name outcome _; do
    case $outcome in
        # Its own reasons: a mechanism that is not there.
        skip) ;;
        *) test "$name" = "to the end" || run "$name" came_to "$name" ;;
    esac
done <"$WORK/outcomes"

done_with
