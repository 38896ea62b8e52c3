#!/bin/bash
# OpenSSL 3 with pkcs11-provider, where the distribution has it: Debian 12 in its backports.
set -eu
CLIENT=openssl-provider
. "$(dirname "$0")/lib.sh"

pkcs11_provider

new_token box >/dev/null
new_key_pair --key-type rsa:2048 --label rsa --id 01 --usage-sign --usage-decrypt >/dev/null
new_key_pair --key-type EC:prime256v1 --label ec --id 02 --usage-sign --usage-derive >/dev/null
new_key_pair --key-type EC:edwards25519 --label ed --id 03 --usage-sign >/dev/null

# configure NAME [LINE]: the configuration, with a line for the provider. What is generated is written
# as a reference.
configure() {
    provider_configuration "pkcs11-module-encode-provider-uri-to-pem = true
${2:-}" >"$WORK/$1.cnf"
    cat >>"$WORK/$1.cnf" <<CONF
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical,CA:true
subjectKeyIdentifier = hash
keyUsage = critical,keyCertSign,cRLSign,digitalSignature,keyEncipherment
CONF
}
configure plain
# SoftHSM2 crashes when it is told to end, which would be all that there is to see of it.
case $SOFTHSM2 in
    yes) configure openssl "pkcs11-module-quirks = no-deinit" ;;
    no) configure openssl ;;
esac

# With the provider, and without.
with() {
    OPENSSL_CONF="$WORK/openssl.cnf" timeout 60 openssl "$@"
}
plain() {
    timeout 60 openssl "$@"
}

key() {
    echo "pkcs11:token=box;object=$1;type=private"
}

printf 'what is signed' >"$WORK/data"

ends() {
    OPENSSL_CONF="$WORK/plain.cnf" timeout 60 openssl storeutl -keys "pkcs11:token=box" >/dev/null
}
softhsm2_races "ends in order" "crashes when the program ends (#553)"
run "ends in order" ends

listed() {
    with storeutl -keys -text "pkcs11:token=box" >"$WORK/listed"
    test "$(grep -c 'PKCS11.*Private Key' "$WORK/listed")" -eq 3
}
run "lists the keys" listed

# public NAME: the public half, as the private key's URI tells it.
public() {
    with pkey -in "$(key "$1")" -pubout -out "$WORK/$1.pub"
    with pkey -in "pkcs11:token=box;object=$1;type=public" -pubin -pubout -out "$WORK/pub.pem"
    plain pkey -pubin -in "$WORK/$1.pub" -outform DER -out "$WORK/one"
    plain pkey -pubin -in "$WORK/pub.pem" -outform DER -out "$WORK/other"
    cmp "$WORK/one" "$WORK/other"
}
run "public key, RSA" public rsa
run "public key, EC" public ec
run "public key, Ed25519" public ed

self_signed() {
    with req -new -x509 -key "$(key "$1")" -days 30 -subj "/CN=box $1" -extensions ca \
        -out "$WORK/$1.pem"
    plain verify -CAfile "$WORK/$1.pem" "$WORK/$1.pem"
}
run "self-signed certificate, RSA" self_signed rsa
run "self-signed certificate, EC" self_signed ec
run "self-signed certificate, Ed25519" self_signed ed

sign_request() {
    plain req -new -newkey rsa:2048 -nodes -keyout "$WORK/leaf.key" -subj /CN=localhost \
        -out "$WORK/leaf.csr"
    with x509 -req -CAkey "$(key "$1")" -CA "$WORK/$1.pem" -in "$WORK/leaf.csr" -set_serial 2 \
        -days 10 -out "$WORK/leaf.pem"
    plain verify -CAfile "$WORK/$1.pem" "$WORK/leaf.pem"
}
run "a CA signs a request, RSA" sign_request rsa
run "a CA signs a request, EC" sign_request ec

dgst() {
    name=$1
    hash=$2
    shift 2
    with dgst "-$hash" -sign "$(key "$name")" "$@" -out "$WORK/signature" "$WORK/data"
    plain dgst "-$hash" -verify "$WORK/$name.pub" "$@" -signature "$WORK/signature" "$WORK/data"
    with dgst "-$hash" -verify "pkcs11:token=box;object=$name;type=public" "$@" \
        -signature "$WORK/signature" "$WORK/data"
}
for hash in sha256 sha384 sha512; do
    run "digest and sign, RSA, $hash" dgst rsa "$hash"
    run "digest and sign, EC, $hash" dgst ec "$hash"
    run "digest and sign, RSA PSS, $hash" dgst rsa "$hash" -sigopt rsa_padding_mode:pss \
        -sigopt rsa_pss_saltlen:digest
done

ed25519() {
    with pkeyutl -sign -rawin -inkey "$(key ed)" -in "$WORK/data" -out "$WORK/signature"
    plain pkeyutl -verify -rawin -pubin -inkey "$WORK/ed.pub" -in "$WORK/data" \
        -sigfile "$WORK/signature"
}
run "sign, Ed25519" ed25519

decrypt() {
    plain pkeyutl -encrypt -pubin -inkey "$WORK/rsa.pub" "$@" -in "$WORK/data" -out "$WORK/sealed"
    with pkeyutl -decrypt -inkey "$(key rsa)" "$@" -in "$WORK/sealed" -out "$WORK/back"
    cmp "$WORK/data" "$WORK/back"
}
run "decrypt RSA" decrypt
softhsm2_fails "decrypt RSA OAEP, sha256" "OAEP is SHA-1 only (#474)"
for hash in sha1 sha256; do
    run "decrypt RSA OAEP, $hash" decrypt -pkeyopt rsa_padding_mode:oaep \
        -pkeyopt "rsa_oaep_md:$hash" -pkeyopt "rsa_mgf1_md:$hash"
done

agree() {
    plain genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$WORK/peer.key"
    plain pkey -in "$WORK/peer.key" -pubout -out "$WORK/peer.pub"
    with pkeyutl -derive -inkey "$(key ec)" -peerkey "$WORK/peer.pub" -out "$WORK/one"
    plain pkeyutl -derive -inkey "$WORK/peer.key" -peerkey "$WORK/ec.pub" -out "$WORK/other"
    cmp "$WORK/one" "$WORK/other"
}
run "ECDH with a peer's key" agree

generated() {
    name=$1
    shift
    with genpkey -propquery provider=pkcs11 "$@" \
        -pkeyopt "pkcs11_uri:pkcs11:token=box;object=$name" >/dev/null
    public "$name"
    dgst "$name" sha256
}
run "generate RSA" generated made-rsa -algorithm RSA -pkeyopt rsa_keygen_bits:2048
run "generate EC" generated made-ec -algorithm EC -pkeyopt ec_paramgen_curve:P-384

cms_sign() {
    with cms -sign -nodetach -inkey "$(key "$1")" -signer "$WORK/$1.pem" -in "$WORK/data" -binary \
        -outform PEM -out "$WORK/cms"
    plain cms -verify -in "$WORK/cms" -inform PEM -CAfile "$WORK/$1.pem" -purpose any -binary \
        -out "$WORK/back"
    cmp "$WORK/data" "$WORK/back"
}
run "CMS sign, RSA" cms_sign rsa
run "CMS sign, EC" cms_sign ec

cms_decrypt() {
    plain cms -encrypt -aes256 -binary -in "$WORK/data" -outform PEM -out "$WORK/cms" \
        "$WORK/$1.pem"
    with cms -decrypt -inkey "$(key "$1")" -recip "$WORK/$1.pem" -in "$WORK/cms" -inform PEM \
        -out "$WORK/back"
    cmp "$WORK/data" "$WORK/back"
}
softhsm2_fails "CMS decrypt, EC" "ECDH has no key derivation function"
run "CMS decrypt, RSA" cms_decrypt rsa
run "CMS decrypt, EC" cms_decrypt ec

# tls NAME VERSION: a server with a key on the token.
tls() {
    served "$(key "$1")" "$WORK/$1.pem" "$2"
}
for version in tls1_3 tls1_2; do
    run "$version server, RSA" tls rsa "-$version"
    run "$version server, EC" tls ec "-$version"
done
run "tls1_3 server, Ed25519" tls ed -tls1_3

done_with
