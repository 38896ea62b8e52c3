#!/bin/bash
# SoftHSM2's own tool, which scripts everywhere call, on the module under test.
set -eu
CLIENT=softhsm2-util
. "$(dirname "$0")/lib.sh"
need softhsm2-util softhsm2

util() {
    timeout 60 softhsm2-util --module "$MODULE" "$@"
}
tool() {
    timeout 60 pkcs11-tool --module "$MODULE" --token-label box --login --pin "$PIN" "$@"
}

initialise() {
    util --init-token --free --label box --so-pin "$SO_PIN" --pin "$PIN" >"$WORK/made"
    cat "$WORK/made"
    grep '^Slot 0 has a free/uninitialized token\.$' "$WORK/made"
    grep -E '^The token has been initialized (and is reassigned to|on) slot [0-9]+$' "$WORK/made"
}
run "--init-token --free" initialise

slot_of_box() {
    util --show-slots | awk '/^Slot/ { slot = $2 } /Label: +box/ { print slot }'
}

show() {
    util --show-slots >"$WORK/slots"
    cat "$WORK/slots"
    test "$(grep -c '^Slot ' "$WORK/slots")" -eq 2
    test "$(grep -c 'Initialized: *yes' "$WORK/slots")" -eq 1
    # The slot's number follows from the serial number.
    serial=$(awk '/Serial number: +[0-9a-f]/ { print $3 }' "$WORK/slots")
    test "$(slot_of_box)" -eq "$(printf '%d' $((0x$(printf '%s' "$serial" | tail -c 8) & 0x7fffffff)))"
}
run "--show-slots" show

again() {
    util --init-token --slot "$(slot_of_box)" --label box --so-pin "$SO_PIN" --pin "$PIN" |
        grep -E "^The token has been initialized on slot $(slot_of_box)$"
}
run "--init-token --slot, again" again

wrong_pin() {
    if util --init-token --token box --label box --so-pin "not $SO_PIN" --pin "$PIN" \
        2>"$WORK/err"; then exit 1; fi
    grep '^CKR_PIN_INCORRECT: ' "$WORK/err"
}
run "--init-token with a wrong SO PIN" wrong_pin

printf 'what is signed' >"$WORK/data"

# import NAME ID MECHANISM OPENSSL-ARGUMENTS: a key that OpenSSL made signs in the token.
import() {
    name=$1 id=$2 mechanism=$3
    shift 3
    openssl genpkey "$@" -out "$WORK/$name.pem" 2>/dev/null
    util --import "$WORK/$name.pem" --token box --label "$name" --id "$id" --pin "$PIN" |
        grep '^The key pair has been imported\.$'
    tool --sign --mechanism "$mechanism" --id "$id" --input-file "$WORK/data" \
        --output-file "$WORK/signature" --signature-format openssl
    openssl pkey -in "$WORK/$name.pem" -pubout -out "$WORK/$name.pub"
    test "$mechanism" != ECDSA-SHA256 && test "$mechanism" != SHA256-RSA-PKCS ||
        openssl dgst -sha256 -verify "$WORK/$name.pub" -signature "$WORK/signature" "$WORK/data"
}
softhsm2_fails "--import P-256" "hashed ECDSA came with 2.7 (#620)"
run "--import RSA" import rsa 01 SHA256-RSA-PKCS -algorithm RSA -pkeyopt rsa_keygen_bits:2048
run "--import P-256" import p256 02 ECDSA-SHA256 -algorithm EC -pkeyopt ec_paramgen_curve:P-256
run "--import Ed25519" import ed25519 03 EDDSA -algorithm ED25519

taken() {
    if util --import "$WORK/rsa.pem" --token box --label rsa --id 01 --pin "$PIN" \
        2>"$WORK/err"; then exit 1; fi
    grep '^ERROR: The ID is already assigned to another object\.' "$WORK/err"
    util --import "$WORK/rsa.pem" --token box --label rsa --id 01 --pin "$PIN" --force
}
run "--import with an id that is taken, and --force" taken

encrypted() {
    openssl pkcs8 -topk8 -in "$WORK/rsa.pem" -passout pass:secret -out "$WORK/encrypted.pem"
    util --import "$WORK/encrypted.pem" --file-pin secret --token box --label encrypted --id 04 \
        --pin "$PIN" --no-public-key
    tool --list-objects --type privkey | grep 'label: *encrypted'
    tool --list-objects --type pubkey >"$WORK/objects"
    ! grep 'label: *encrypted' "$WORK/objects"
}
run "--import --file-pin --no-public-key" encrypted

aes() {
    # The tool reads a line of text: of a key with a zero or a newline in it, it takes a part.
    openssl rand -hex 16 | tr -d '\n' >"$WORK/aes"
    util --import "$WORK/aes" --aes --token box --label aes --id 05 --pin "$PIN"
    printf '0123456789abcdef' >"$WORK/block"
    tool --encrypt --mechanism AES-ECB --id 05 --input-file "$WORK/block" \
        --output-file "$WORK/sealed"
    openssl enc -aes-256-ecb -nopad -K "$(od -An -tx1 -v "$WORK/aes" | tr -d ' \n')" \
        -in "$WORK/block" -out "$WORK/expected"
    cmp "$WORK/sealed" "$WORK/expected"
}
run "--import --aes" aes

protected() {
    tool --list-objects --type privkey >"$WORK/objects"
    cat "$WORK/objects"
    test "$(grep -c 'Access: *sensitive' "$WORK/objects")" -eq \
        "$(grep -c 'Private Key Object' "$WORK/objects")"
}
run "imported keys are sensitive" protected

done_with
