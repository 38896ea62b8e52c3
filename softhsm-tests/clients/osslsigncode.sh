#!/bin/bash
# osslsigncode: Authenticode signatures over a script, with keys of the token through the engine.
set -eu
CLIENT=osslsigncode
. "$(dirname "$0")/lib.sh"
need osslsigncode osslsigncode
openssl_engine

new_token box >/dev/null
new_key_pair --key-type rsa:3072 --label rsa --id 01 --usage-sign >/dev/null
new_key_pair --key-type EC:prime256v1 --label ec --id 02 --usage-sign >/dev/null

printf 'Write-Output "signed by a key of the token"\r\n' >"$WORK/script.ps1"
engine_configuration >"$WORK/openssl.cnf"
cat >"$WORK/req.cnf" <<CONF
[req]
distinguished_name = name
[name]
[signer]
basicConstraints = critical,CA:true
keyUsage = critical,digitalSignature,keyCertSign
extendedKeyUsage = codeSigning
subjectKeyIdentifier = hash
CONF

certificate() {
    OPENSSL_CONF="$WORK/openssl.cnf" timeout 60 openssl req -new -x509 -engine pkcs11 \
        -keyform engine -key "pkcs11:token=box;object=$1;type=private" -sha256 -days 30 \
        -subj "/CN=signer $1" -extensions signer -config "$WORK/req.cnf" -out "$WORK/$1.pem"
}
run "a certificate, RSA" certificate rsa
run "a certificate, EC" certificate ec

# signed KEY HASH
signed() {
    rm -f "$WORK/signed.ps1"
    timeout 60 osslsigncode sign -pkcs11engine "$ENGINE" -pkcs11module "$MODULE" -pass "$PIN" \
        -certs "$WORK/$1.pem" -key "pkcs11:token=box;object=$1;type=private" -h "$2" \
        -n 'a script' -in "$WORK/script.ps1" -out "$WORK/signed.ps1"
    timeout 60 osslsigncode verify -CAfile "$WORK/$1.pem" -in "$WORK/signed.ps1" >"$WORK/verified"
    cat "$WORK/verified"
    grep 'Signature verification: ok' "$WORK/verified"
    sed 's/token/other/' "$WORK/signed.ps1" >"$WORK/forged.ps1"
    ! timeout 60 osslsigncode verify -CAfile "$WORK/$1.pem" -in "$WORK/forged.ps1"
}
run "signs, RSA with SHA-256" signed rsa sha256
run "signs, RSA with SHA-512" signed rsa sha512
run "signs, EC with SHA-256" signed ec sha256

done_with
