#!/bin/bash
# The scripts by which OpenSC tests its pkcs11-tool on SoftHSM2, as its source package carries them: they
# call softhsm2-util and load the library by SoftHSM2's name, so both of ours lie there, and nothing else is
# changed.
set -eu
CLIENT=opensc
. "$(dirname "$0")/lib.sh"
need bwrap bubblewrap
need softhsm2-util softhsm2

VERSION=0.23.0
PACKAGES=${CARGO_TARGET_DIR:-$(dirname "$0")/../../target}/softhsm-tests/opensc
SOURCE=$PACKAGES/OpenSC-$VERSION
test -d "$SOURCE" ||
    "$(dirname "$0")/../debian-source" "opensc_$VERSION" \
        a08b475834e3c3b0efd9bfc46adfcc3440d3975c2fb3ab2ef29342b879d41370 "$PACKAGES"
SOURCE=$(readlink -f "$SOURCE")

# Programs are looked for in `bin` first, and the one that is tested in `build`.
mkdir -p "$WORK/bin" "$WORK/build/src/tools"
ln -s "$(command -v pkcs11-tool)" "$WORK/build/src/tools/pkcs11-tool"
test "$SOFTHSM2" = yes || {
    tool=$(dirname "$MODULE")/strongroom
    test -x "$tool" || { echo "$CLIENT: $tool is missing; build it with the module" >&2; exit 2; }
    ln -s "$tool" "$WORK/bin/softhsm2-util"
}

# script NAME: in a folder of its own, with what lies beside it.
script() {
    cp -r "$SOURCE/tests" "$WORK/$1"
    bwrap --dev-bind / / --ro-bind "$MODULE" /usr/lib/softhsm/libsofthsm2.so --chdir "$WORK/$1" \
        --unsetenv STRONGROOM_CONF --unsetenv STRONGROOM_SOCKET --setenv PATH "$WORK/bin:$PATH" \
        --setenv BUILD_PATH "$WORK/build" --setenv SOURCE_PATH "$SOURCE" \
        timeout 300 bash "./$1.sh"
}

softhsm2_fails test-pkcs11-tool-test "OAEP is SHA-1 only (#474)"
# The others are not about a module of SoftHSM2's.
for name in allowed-mechanisms sign-verify sym-crypt-test test unwrap-wrap-test; do
    run "test-pkcs11-tool-$name" script "test-pkcs11-tool-$name"
done

done_with
