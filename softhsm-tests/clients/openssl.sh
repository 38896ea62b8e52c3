#!/bin/bash
# OpenSSL 3.0 with the engine of libp11.
set -eu
CLIENT=openssl
. "$(dirname "$0")/lib.sh"

openssl_engine

new_token box >/dev/null
new_key_pair --key-type rsa:2048 --label rsa --id 01 --usage-sign --usage-decrypt >/dev/null
new_key_pair --key-type EC:prime256v1 --label ec --id 02 --usage-sign --usage-derive >/dev/null

engine_configuration >"$WORK/openssl.cnf"
# A second file: a configuration that is loaded twice would load the engine twice.
cat >"$WORK/req.cnf" <<CONF
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical,CA:true
subjectKeyIdentifier = hash
keyUsage = critical,keyCertSign,cRLSign,digitalSignature,keyEncipherment
CONF

# With the engine, and without.
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

self_signed() {
    with req -new -x509 -engine pkcs11 -keyform engine -key "$(key "$1")" -sha256 -days 30 \
        -subj "/CN=box $1" -extensions ca -config "$WORK/req.cnf" -out "$WORK/$1.pem"
    plain verify -CAfile "$WORK/$1.pem" "$WORK/$1.pem"
}
run "self-signed certificate, RSA" self_signed rsa
run "self-signed certificate, EC" self_signed ec

request() {
    with req -new -engine pkcs11 -keyform engine -key "$(key "$1")" -sha256 -subj /CN=request \
        -config "$WORK/req.cnf" -out "$WORK/request.pem"
    plain req -in "$WORK/request.pem" -verify -noout
}
run "certificate request, RSA" request rsa
run "certificate request, EC" request ec

sign_request() {
    plain req -new -newkey rsa:2048 -nodes -keyout "$WORK/leaf.key" -subj /CN=localhost \
        -out "$WORK/leaf.csr"
    with x509 -req -engine pkcs11 -CAkeyform engine -CAkey "$(key "$1")" -CA "$WORK/$1.pem" \
        -in "$WORK/leaf.csr" -set_serial 2 -days 10 -sha256 -out "$WORK/leaf.pem"
    plain verify -CAfile "$WORK/$1.pem" "$WORK/leaf.pem"
}
run "a CA signs a request, RSA" sign_request rsa
run "a CA signs a request, EC" sign_request ec

dgst() {
    with dgst "-$2" -engine pkcs11 -keyform engine -sign "$(key "$1")" -out "$WORK/signature" \
        "$WORK/data"
    plain x509 -in "$WORK/$1.pem" -pubkey -noout >"$WORK/pub.pem"
    plain dgst "-$2" -verify "$WORK/pub.pem" -signature "$WORK/signature" "$WORK/data"
    with dgst "-$2" -engine pkcs11 -keyform engine -verify \
        "pkcs11:token=box;object=$1;type=public" -signature "$WORK/signature" "$WORK/data"
}
for hash in sha1 sha256 sha384 sha512; do
    run "digest and sign, RSA, $hash" dgst rsa "$hash"
    run "digest and sign, EC, $hash" dgst ec "$hash"
done

pss() {
    with dgst -sha256 -engine pkcs11 -keyform engine -sign "$(key rsa)" \
        -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -out "$WORK/signature" \
        "$WORK/data"
    plain x509 -in "$WORK/rsa.pem" -pubkey -noout >"$WORK/pub.pem"
    plain dgst -sha256 -verify "$WORK/pub.pem" -sigopt rsa_padding_mode:pss \
        -signature "$WORK/signature" "$WORK/data"
}
run "digest and sign, RSA PSS" pss

cms_sign() {
    with cms -sign -nodetach -engine pkcs11 -keyform engine -inkey "$(key "$1")" -signer "$WORK/$1.pem" \
        -in "$WORK/data" -binary -outform PEM -out "$WORK/cms"
    plain cms -verify -in "$WORK/cms" -inform PEM -CAfile "$WORK/$1.pem" -purpose any -binary \
        -out "$WORK/back"
    cmp "$WORK/data" "$WORK/back"
}
run "CMS sign, RSA" cms_sign rsa
run "CMS sign, EC" cms_sign ec

cms_decrypt() {
    plain cms -encrypt -aes256 -binary -in "$WORK/data" -outform PEM -out "$WORK/cms" "$@" \
        "$WORK/rsa.pem"
    with cms -decrypt -engine pkcs11 -keyform engine -inkey "$(key rsa)" -recip "$WORK/rsa.pem" \
        -in "$WORK/cms" -inform PEM -out "$WORK/back"
    cmp "$WORK/data" "$WORK/back"
}
run "CMS decrypt, RSA" cms_decrypt

# tls NAME VERSION: a server with a key on the token.
tls() {
    served "$(key "$1")" "$WORK/$1.pem" "$2" -engine pkcs11 -keyform engine
}
run "TLS 1.3 server, RSA" tls rsa -tls1_3
run "TLS 1.3 server, EC" tls ec -tls1_3
run "TLS 1.2 server, RSA" tls rsa -tls1_2
run "TLS 1.2 server, EC" tls ec -tls1_2

done_with
