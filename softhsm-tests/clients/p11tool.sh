#!/bin/bash
# GnuTLS's p11tool.
set -eu
CLIENT=p11tool
. "$(dirname "$0")/lib.sh"
need p11tool gnutls-bin
need certtool gnutls-bin

export GNUTLS_PIN="$PIN" GNUTLS_SO_PIN="$SO_PIN"

tool() {
    timeout 60 p11tool --provider "$MODULE" --batch "$@"
}

initialize() {
    pkcs11-tool --module "$MODULE" --init-token --slot-index 0 --label old --so-pin "$SO_PIN"
    url=$(tool --list-token-urls | grep 'token=old')
    tool --initialize "$url" --label box
    tool --list-tokens | grep 'Label: box'
}
run "initialise a token" initialize

URL='pkcs11:token=box'
init_pin() {
    tool --initialize-pin --set-pin "$PIN" "$URL"
    pkcs11-tool --module "$MODULE" --list-token-slots | grep 'PIN initialized'
}
run "initialise the PIN" init_pin

mechanisms() {
    tool --list-mechanisms "$URL" | grep CKM_AES_GCM
}
run "list mechanisms" mechanisms

generate() {
    type=$1
    label=$2
    shift 2
    tool --login --generate-privkey="$type" --label "$label" "$@" --outfile "$WORK/$label.pem" "$URL"
    tool --login --list-privkeys "$URL" | grep "Label: $label"
    openssl pkey -pubin -in "$WORK/$label.pem" -noout
}
run "generate RSA" generate rsa rsa --bits 2048
run "generate P-256" generate ecdsa ec --curve secp256r1
run "generate P-384" generate ecdsa ec384 --curve secp384r1
softhsm2_fails "generate Ed25519" "GnuTLS asks for a key pair by CKM_EDDSA"
run "generate Ed25519" generate ed25519 ed25519

export_public() {
    tool --login --export-pubkey "$URL;object=$1;type=private" --outfile "$WORK/out.pem"
    openssl pkey -pubin -in "$WORK/out.pem" -outform DER -out "$WORK/one"
    openssl pkey -pubin -in "$WORK/$1.pem" -outform DER -out "$WORK/other"
    cmp "$WORK/one" "$WORK/other"
}
run "export the public key, RSA" export_public rsa
run "export the public key, P-256" export_public ec

test_sign() {
    tool --login --test-sign "$URL;object=$1;type=private"
}
run "sign with RSA" test_sign rsa
run "sign with P-256" test_sign ec
run "sign with P-384" test_sign ec384

certificate() {
    printf 'cn = "box"\nca\nexpiration_days = 30\n' >"$WORK/template"
    certtool --generate-self-signed --provider "$MODULE" --template "$WORK/template" \
        --load-privkey "$URL;object=$1;type=private?pin-value=$PIN" \
        --load-pubkey "$URL;object=$1;type=public?pin-value=$PIN" --outfile "$WORK/cert.pem"
    openssl verify -CAfile "$WORK/cert.pem" "$WORK/cert.pem"
    tool --login --write --load-certificate "$WORK/cert.pem" --label "cert-$1" "$URL"
    tool --list-all-certs "$URL" | grep "Label: cert-$1"
    tool --export "$URL;object=cert-$1;type=cert" --outfile "$WORK/back.pem"
    openssl x509 -in "$WORK/cert.pem" -outform DER >"$WORK/one"
    openssl x509 -in "$WORK/back.pem" -outform DER >"$WORK/two"
    cmp "$WORK/one" "$WORK/two"
}
run "make, write and export a certificate, RSA" certificate rsa
run "make, write and export a certificate, P-256" certificate ec

trusted() {
    tool --so-login --write --load-certificate "$WORK/cert.pem" --mark-trusted \
        --label trusted "$URL"
    tool --list-all-trusted "$URL" | grep 'Label: trusted'
}
run "a trusted certificate of the SO" trusted

write_private() {
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$WORK/key.pem"
    tool --login --write --load-privkey "$WORK/key.pem" --label imported "$URL"
    tool --login --test-sign "$URL;object=imported;type=private"
}
run "write a private key" write_private

delete() {
    tool --login --delete "$URL;object=imported"
    tool --login --list-privkeys "$URL" >"$WORK/list"
    if grep 'Label: imported' "$WORK/list"; then exit 1; fi
}
run "delete a private key" delete

random() {
    tool --generate-random 32 "$URL"
}
run "random numbers" random

done_with
