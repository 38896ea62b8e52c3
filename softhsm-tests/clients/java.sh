#!/bin/bash
# Java: keytool, jarsigner, and a program over the provider SunPKCS11.
set -eu
CLIENT=java
. "$(dirname "$0")/lib.sh"
need java default-jdk-headless
need javac default-jdk-headless
need keytool default-jdk-headless
need jarsigner default-jdk-headless

new_token box >/dev/null
# What Java makes without being asked is neither to be seen nor wrapped; its own ciphers wrap keys
# that a session made. The provider says so for what it makes, as its guide recommends.
cat >"$WORK/java.cfg" <<CONF
name = Box
library = $MODULE
slotListIndex = 0
attributes(*,CKO_PRIVATE_KEY,*) = {
  CKA_SIGN = true
}
attributes(*,CKO_SECRET_KEY,*) = {
  CKA_SENSITIVE = false
  CKA_EXTRACTABLE = true
}
CONF
javac -d "$WORK" "$(dirname "$0")/java/Client.java"

key_tool() {
    timeout 60 keytool -keystore NONE -storetype PKCS11 -storepass "$PIN" \
        -addprovider SunPKCS11 -providerarg "$WORK/java.cfg" "$@"
}

key_pair() {
    alias=$1
    shift
    key_tool -genkeypair -alias "$alias" -dname "CN=$alias" -validity 30 "$@"
    key_tool -list -alias "$alias" | grep PrivateKeyEntry
}
run "keytool makes a key pair, RSA" key_pair rsa -keyalg RSA -keysize 2048 \
    -ext bc:critical=ca:true
run "keytool makes a key pair, EC" key_pair ec -keyalg EC -groupname secp256r1
run "keytool makes a key pair, EC P-384" key_pair ec384 -keyalg EC -groupname secp384r1

request() {
    key_tool -certreq -alias "$1" -file "$WORK/$1.csr"
    openssl req -in "$WORK/$1.csr" -verify -noout
    key_tool -gencert -alias rsa -infile "$WORK/$1.csr" -outfile "$WORK/$1.pem" -rfc
    key_tool -exportcert -alias rsa -rfc -file "$WORK/ca.pem"
    openssl verify -partial_chain -CAfile "$WORK/ca.pem" "$WORK/$1.pem"
    cat "$WORK/$1.pem" "$WORK/ca.pem" >"$WORK/chain.pem"
    key_tool -importcert -noprompt -alias "$1" -file "$WORK/chain.pem"
    key_tool -list -v -alias "$1" | grep 'Certificate chain length: 2'
}
run "keytool requests, signs and imports a certificate" request ec

rename_and_delete() {
    key_tool -changealias -alias ec384 -destalias renamed
    key_tool -list -alias renamed | grep PrivateKeyEntry
    key_tool -delete -alias renamed
    ! key_tool -list -alias renamed
}
run "keytool renames and deletes" rename_and_delete

wrong_pin() {
    ! timeout 60 keytool -keystore NONE -storetype PKCS11 -storepass wrong-pin -list \
        -addprovider SunPKCS11 -providerarg "$WORK/java.cfg"
}
run "keytool with a wrong PIN" wrong_pin

signed_jar() {
    mkdir -p "$WORK/content"
    echo content >"$WORK/content/file"
    (cd "$WORK/content" && jar --create --file "$WORK/$1.jar" file)
    timeout 60 jarsigner -keystore NONE -storetype PKCS11 -storepass "$PIN" \
        -addprovider SunPKCS11 -providerArg "$WORK/java.cfg" "$WORK/$1.jar" "$1"
    timeout 60 jarsigner -verify "$WORK/$1.jar" | grep 'jar verified'
}
run "jarsigner, RSA" signed_jar rsa
run "jarsigner, EC" signed_jar ec

program() {
    timeout 60 java -cp "$WORK" Client "$WORK/java.cfg" "$PIN" "$@"
}
run "the program reads the key store" program keystore
for kind in "rsa2048 SHA256withRSA" "rsa3072 SHA512withRSA" "secp256r1 SHA256withECDSA" \
    "secp384r1 SHA384withECDSA" "secp521r1 SHA512withECDSA"; do
    case $kind in
        *521*) softhsm2_fails "Signature, $kind" \
            "a signature whose numbers were cut is refused" ;;
    esac
    # shellcheck disable=SC2086
    run "Signature, $kind" program sign $kind
done
run "Signature, RSASSA-PSS with SHA-256" program pss SHA-256
run "Signature, RSASSA-PSS with SHA-512" program pss SHA-512
run "Cipher, RSA" program rsa-cipher
run "Cipher, RSA wraps and unwraps" program wrap
for what in AES/ECB/NoPadding AES/ECB/PKCS5Padding AES/CBC/NoPadding AES/CBC/PKCS5Padding \
    AES/CTR/NoPadding AES/GCM/NoPadding; do
    run "Cipher, $what" program cipher "$what"
done
for what in HmacSHA1 HmacSHA224 HmacSHA256 HmacSHA384 HmacSHA512; do
    run "Mac, $what" program mac "$what"
done
for what in SHA-1 SHA-224 SHA-256 SHA-384 SHA-512; do
    run "MessageDigest, $what" program digest "$what"
done
softhsm2_fails "MessageDigest, a clone" "C_GetOperationState is not supported"
run "MessageDigest, a clone" program clone SHA-256
for curve in secp256r1 secp384r1 secp521r1; do
    softhsm2_fails "KeyAgreement, ECDH $curve" "Java's keys, made without CKA_DERIVE, do not derive"
    run "KeyAgreement, ECDH $curve" program ecdh "$curve"
done
softhsm2_fails "KeyAgreement, DH" "Java's keys, made without CKA_DERIVE, do not derive"
run "KeyAgreement, DH" program dh
run "SecureRandom" program random
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=imported -days 30 -keyout "$WORK/file.key" \
    -out "$WORK/file.pem" 2>/dev/null
openssl pkcs12 -export -inkey "$WORK/file.key" -in "$WORK/file.pem" -name imported \
    -passout pass:file-password -out "$WORK/file.p12"
run "the key store takes a key and gives it back" program import "$WORK/file.p12" file-password
run "the key store takes a secret key" program stored-secret

done_with
