#!/bin/bash
# OpenSC's pkcs11-tool.
set -eu
CLIENT=pkcs11-tool
. "$(dirname "$0")/lib.sh"

tool() {
    timeout 120 pkcs11-tool --module "$MODULE" "$@"
}

user() {
    tool --token-label box --login --pin "$PIN" "$@"
}

printf 'what is signed' >"$WORK/data"
openssl dgst -sha256 -binary "$WORK/data" >"$WORK/digest"
DATA=$WORK/data

run "init token and PINs" new_token box

info() {
    tool --show-info
    tool --list-slots
    tool --list-token-slots | grep box
    tool --token-label box --list-mechanisms | grep AES-KEY-GEN
}
run "information" info

# Whoever read what the module says of itself may have gone: that does not end the program.
unread_log() {
    { sleep 0.2 && STRONGROOM_LOG=debug tool --list-slots; } 2> >(exec true) | grep box
}
run "a log that nobody reads" unread_log

# A slot by its number, by its place, by its description; the token's label is what all else goes by.
by_slot() {
    tool --list-token-slots >"$WORK/slots"
    number=$(sed -n 's/^Slot 0 (\(0x[0-9a-f]*\)): .*/\1/p' "$WORK/slots")
    description=$(sed -n 's/^Slot 0 (0x[0-9a-f]*): \(.*[^ ]\) *$/\1/p' "$WORK/slots")
    for way in "--slot=$number" --slot-index=0 "--slot-description=$description"; do
        tool "$way" --list-slots
        tool "$way" --verbose --login --pin "$PIN" --generate-random 8 --output-file "$WORK/random"
        test "$(wc -c <"$WORK/random")" -eq 8
    done
}
run "--slot, --slot-index, --slot-description" by_slot

interfaces() {
    tool --list-interfaces | grep -i 'PKCS 11'
}
softhsm2_fails "interfaces" "it has only the functions of 2.40 (#604, #874)"
run "interfaces" interfaces

generate() {
    user --keypairgen --key-type "$1" --label "$2" --id "$3" --usage-sign
    user --list-objects | grep "$2"
}
run "generate RSA" generate rsa:2048 rsa 01
run "generate P-256" generate EC:prime256v1 p256 02
run "generate P-384" generate EC:secp384r1 p384 03
run "generate P-521" generate EC:secp521r1 p521 04
run "generate secp256k1" generate EC:secp256k1 k256 05
run "generate Ed25519" generate EC:edwards25519 ed25519 06
# Version 0.23 knows no Ed448 and no X448.
fails_everywhere "generate X25519" "pkcs11-tool 0.23 says a wrong length of the curve's name"
run "generate X25519" generate EC:curve25519 x25519 09

for_decryption() {
    user --keypairgen --key-type rsa:2048 --label decrypts --id 07 --usage-decrypt --usage-wrap
    user --keypairgen --key-type EC:prime256v1 --label derives --id 08 --usage-derive
}
run "generate for decryption and derivation" for_decryption

# sign ID MECHANISM: signs, verifies, and has OpenSSL verify.
public() {
    user --read-object --type pubkey --id "$1" --output-file "$WORK/pub.$1"
}

sign() {
    id=$1
    mechanism=$2
    input=$3
    shift 3
    user --sign --id "$id" --mechanism "$mechanism" --input-file "$input" \
        --output-file "$WORK/signature" "$@"
    user --verify --id "$id" --mechanism "$mechanism" --input-file "$input" \
        --signature-file "$WORK/signature" "$@" | grep 'Signature is valid'
}

sign_rsa() {
    sign 01 "$@"
    public 01
    openssl dgst "-$HASH" -verify "$WORK/pub.01" -keyform DER -signature "$WORK/signature" "$DATA"
}
for HASH in sha1 sha256 sha384 sha512; do
    upper=$(echo "$HASH" | tr a-z A-Z)
    run "sign RSA with $upper" sign_rsa "$upper-RSA-PKCS" "$DATA"
done

sign_pss() {
    sign 01 RSA-PKCS-PSS "$WORK/digest" --hash-algorithm SHA256 --mgf MGF1-SHA256 --salt-len 32
    public 01
    openssl dgst -sha256 -verify "$WORK/pub.01" -keyform DER -sigopt rsa_padding_mode:pss \
        -sigopt rsa_pss_saltlen:32 -signature "$WORK/signature" "$DATA"
}
run "sign RSA PSS" sign_pss

sign_ec() {
    id=$1
    mechanism=$2
    input=$3
    sign "$id" "$mechanism" "$input"
    # OpenSC 0.23 cannot write a public key of P-384 ("cannot create EVP_PKEY"), whatever the module.
    test "$id" != 03 || return 0
    user --sign --id "$id" --mechanism "$mechanism" --signature-format openssl \
        --input-file "$input" --output-file "$WORK/signature"
    public "$id"
    openssl dgst -sha256 -verify "$WORK/pub.$id" -keyform DER -signature "$WORK/signature" "$DATA"
}
run "sign P-256" sign_ec 02 ECDSA "$WORK/digest"
run "sign P-384" sign_ec 03 ECDSA "$WORK/digest"
run "sign P-521" sign_ec 04 ECDSA "$WORK/digest"
run "sign secp256k1" sign_ec 05 ECDSA "$WORK/digest"
for curve in "02 P-256" "03 P-384" "04 P-521"; do
    softhsm2_fails "sign ${curve#* } with SHA-256" "hashed ECDSA came with 2.7 (#620)"
    run "sign ${curve#* } with SHA-256" sign_ec "${curve% *}" ECDSA-SHA256 "$DATA"
done

sign_ed25519() {
    user --sign --id 06 --mechanism EDDSA --input-file "$DATA" --output-file "$WORK/signature"
    test "$(wc -c <"$WORK/signature")" -eq 64
    user --verify --id 06 --mechanism EDDSA --input-file "$DATA" \
        --signature-file "$WORK/signature" | grep 'Signature is valid'
}
run "sign Ed25519" sign_ed25519

formats() {
    for format in rs sequence openssl; do
        user --sign --id 02 --mechanism ECDSA --signature-format "$format" \
            --input-file "$WORK/digest" --output-file "$WORK/signature"
        user --verify --id 02 --mechanism ECDSA --signature-format "$format" \
            --input-file "$WORK/digest" --signature-file "$WORK/signature" |
            grep 'Signature is valid'
    done
}
run "--signature-format" formats

# No mechanism is one of hardware, so none is found where the tool looks for one itself.
allow_sw() {
    if user --sign --id 01 --input-file "$DATA" >"$WORK/out" 2>&1; then exit 1; fi
    grep 'Sign mechanism not supported' "$WORK/out"
    user --allow-sw --sign --id 01 --input-file "$DATA" >"$WORK/out" 2>&1 || true
    grep 'Using signature algorithm' "$WORK/out"
}
run "--allow-sw" allow_sw

hash() {
    user --hash --mechanism "$1" --input-file "$DATA" --output-file "$WORK/hash"
    openssl dgst -binary "-$2" "$DATA" | cmp - "$WORK/hash"
}
run "hash SHA-1" hash SHA-1 sha1
run "hash SHA-256" hash SHA256 sha256
run "hash SHA-512" hash SHA512 sha512
run "hash by the number of a mechanism" hash 0x00000260 sha384

decrypt_rsa() {
    public 07
    openssl pkeyutl -encrypt -pubin -keyform DER -inkey "$WORK/pub.07" -in "$DATA" \
        -out "$WORK/cipher" "$@"
}
decrypt_pkcs1() {
    decrypt_rsa
    user --decrypt --id 07 --mechanism RSA-PKCS --input-file "$WORK/cipher" \
        --output-file "$WORK/plain"
    cmp "$DATA" "$WORK/plain"
}
run "decrypt RSA PKCS #1" decrypt_pkcs1
decrypt_oaep() {
    decrypt_rsa -pkeyopt rsa_padding_mode:oaep -pkeyopt "rsa_oaep_md:$1" \
        -pkeyopt "rsa_mgf1_md:$1"
    user --decrypt --id 07 --mechanism RSA-PKCS-OAEP --hash-algorithm "$2" --mgf "$3" \
        --input-file "$WORK/cipher" --output-file "$WORK/plain"
    cmp "$DATA" "$WORK/plain"
}
run "decrypt RSA OAEP with SHA-1" decrypt_oaep sha1 SHA-1 MGF1-SHA1
softhsm2_fails "decrypt RSA OAEP with SHA-256" "OAEP is SHA-1 only (#474)"
run "decrypt RSA OAEP with SHA-256" decrypt_oaep sha256 SHA256 MGF1-SHA256

aes() {
    user --keygen --key-type AES:32 --label aes --id 10 --usage-decrypt --usage-wrap --extractable
    user --list-objects --type secrkey | grep aes
}
run "generate AES" aes

secret() {
    user --keygen --key-type "$1" --label "$2" --id "$3"
    user --list-objects --type secrkey | grep "$2"
}
run "generate a generic secret" secret GENERIC:64 generic 14
run "generate AES of 24 bytes" secret AES:24 aes24 15
fails_everywhere "generate 3DES" "pkcs11-tool gives a length, which such a key does not have"
run "generate 3DES" secret DES3:24 des3 16

aes_crypt() {
    iv=000102030405060708090a0b0c0d0e0f
    user --encrypt --id 10 --mechanism "$1" --iv $iv --input-file "$2" \
        --output-file "$WORK/cipher"
    user --decrypt --id 10 --mechanism "$1" --iv $iv --input-file "$WORK/cipher" \
        --output-file "$WORK/plain"
    cmp "$2" "$WORK/plain"
}
run "encrypt AES CBC_PAD" aes_crypt AES-CBC-PAD "$DATA"
run "encrypt AES CBC" aes_crypt AES-CBC "$WORK/digest"

derive() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$WORK/peer.pem"
    openssl pkey -in "$WORK/peer.pem" -pubout -outform DER -out "$WORK/peer.der"
    user --derive --mechanism ECDH1-DERIVE --id 08 --input-file "$WORK/peer.der" \
        --output-file "$WORK/here" "$@"
    public 08
    openssl pkeyutl -derive -inkey "$WORK/peer.pem" -peerform DER -peerkey "$WORK/pub.08" \
        -out "$WORK/there"
    cmp "$WORK/here" "$WORK/there"
}
run "derive by ECDH, raw point" derive
run "derive by ECDH, DER point" derive --derive-pass-der

wrap() {
    user --keygen --key-type AES:16 --label wrapped --id 11 --extractable --usage-decrypt
    user --wrap --mechanism "$1" --id "$2" --application-id 11 --output-file "$WORK/wrapped"
    test -s "$WORK/wrapped"
    user --unwrap --mechanism "$1" --id "$2" --input-file "$WORK/wrapped" --key-type AES: \
        --application-id "$3" --application-label unwrapped --extractable
    user --list-objects --type secrkey | grep -A 9 unwrapped
    user --delete-object --type secrkey --id 11
}
run "wrap and unwrap by RSA" wrap RSA-PKCS 07 12
run "wrap and unwrap by AES" wrap AES-KEY-WRAP 10 13

write() {
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$WORK/key.pem" -out "$WORK/cert.pem" \
        -subj /CN=written -days 30
    openssl x509 -in "$WORK/cert.pem" -outform DER -out "$WORK/cert.der"
    openssl pkey -in "$WORK/key.pem" -outform DER -out "$WORK/key.der"
    openssl pkey -in "$WORK/key.pem" -pubout -outform DER -out "$WORK/pub.der"
    user --write-object "$WORK/cert.der" --type cert --label written --id 20
    user --write-object "$WORK/key.der" --type privkey --label written --id 20 --usage-sign
    user --write-object "$WORK/pub.der" --type pubkey --label written --id 20 --usage-sign
    user --write-object "$DATA" --type data --label written --application-label app
    user --read-object --type cert --id 20 --output-file "$WORK/back"
    cmp "$WORK/cert.der" "$WORK/back"
    user --read-object --type data --label written --output-file "$WORK/back"
    cmp "$DATA" "$WORK/back"
    sign 20 SHA256-RSA-PKCS "$DATA"
    openssl dgst -sha256 -verify "$WORK/pub.der" -keyform DER -signature "$WORK/signature" "$DATA"
    for type in cert privkey pubkey; do
        user --delete-object --type "$type" --id 20
    done
    user --delete-object --type data --label written
    user --list-objects >"$WORK/list"
    if grep written "$WORK/list"; then exit 1; fi
}
run "write, read and delete objects" write

# object TYPE LABEL: what is listed of an object.
object() {
    user --list-objects --type "$1" | sed -n "/label: *'*$2'*$/,/^[A-Z]/p"
}

set_id() {
    user --keygen --key-type AES:16 --label moved --id 50
    user --set-id 51 --type secrkey --id 50
    object secrkey moved | grep 'ID: *51'
}
run "--set-id" set_id

# Of the login for each use the tool takes care.
always_auth() {
    user --keypairgen --key-type rsa:2048 --label asks --id 52 --usage-sign --always-auth
    object privkey asks | grep 'always authenticate'
    sign 52 SHA256-RSA-PKCS "$DATA"
    public 52
    openssl dgst -sha256 -verify "$WORK/pub.52" -keyform DER -signature "$WORK/signature" "$DATA"
}
run "--always-auth" always_auth

# With no operation that waits for it there is no such login.
context_specific() {
    if tool --token-label box --login --login-type context-specific --pin "$PIN" --list-objects \
        >"$WORK/out" 2>&1; then exit 1; fi
    grep CKR_OPERATION_NOT_INITIALIZED "$WORK/out"
}
run "--login-type context-specific" context_specific

sensitive() {
    user --keygen --key-type AES:16 --label hidden --id 53 --sensitive
    object secrkey hidden | grep 'Access: *sensitive'
    user --keypairgen --key-type rsa:2048 --label leaves --id 54 --usage-sign --private --extractable
    object privkey leaves | grep 'Access:' >"$WORK/access"
    if grep 'never extractable' "$WORK/access"; then exit 1; fi
}
run "--sensitive and --extractable" sensitive

private() {
    user --write-object "$DATA" --type data --label seen
    user --write-object "$DATA" --type data --label unseen --private
    tool --token-label box --list-objects --type data >"$WORK/list"
    grep "'seen'" "$WORK/list"
    if grep "'unseen'" "$WORK/list"; then exit 1; fi
    object data unseen | grep private
}
run "--private" private

allowed() {
    user --keypairgen --key-type rsa:2048 --label single --id 55 --usage-sign \
        --allowed-mechanisms SHA256-RSA-PKCS
    sign 55 SHA256-RSA-PKCS "$DATA"
    if sign 55 SHA512-RSA-PKCS "$DATA"; then exit 1; fi
}
run "--allowed-mechanisms" allowed

certificate() {
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$WORK/from.pem" -out "$WORK/from.cert" \
        -subj /CN=from -days 30
    openssl x509 -in "$WORK/from.cert" -outform DER -out "$WORK/from.der"
    openssl pkey -in "$WORK/from.pem" -outform DER -out "$WORK/from.key"
}
# CN=from, as a certificate has it.
FROM=300f310d300b06035504030c0466726f6d
by_name() {
    certificate
    user --write-object "$WORK/from.der" --type cert --id 56 --label from
    for way in --subject --issuer; do
        user --read-object --type cert "$way" "$FROM" --output-file "$WORK/back"
        cmp "$WORK/from.der" "$WORK/back"
    done
}
run "--subject and --issuer" by_name

# The key has its subject from the certificate.
attr_from() {
    certificate
    user --write-object "$WORK/from.key" --type privkey --attr-from "$WORK/from.der" --label from \
        --id 57 --usage-sign
    user --sign --id 57 --mechanism SHA256-RSA-PKCS --input-file "$DATA" \
        --output-file "$WORK/signature"
    openssl x509 -in "$WORK/from.cert" -pubkey -noout >"$WORK/from.pub"
    openssl dgst -sha256 -verify "$WORK/from.pub" -signature "$WORK/signature" "$DATA"
}
run "--attr-from" attr_from

# The tool heeds it for certificates alone.
undestroyable() {
    certificate
    user --write-object "$WORK/from.der" --type cert --id 58 --label stays --undestroyable
    if user --delete-object --type cert --id 58; then exit 1; fi
    object cert stays | grep stays
}
run "--undestroyable" undestroyable

by_index() {
    user --write-object "$DATA" --type data --label twice
    user --write-object "$DATA" --type data --label twice
    user --delete-object --type data --label twice --object-index 1
    test "$(user --list-objects --type data | grep -c "'twice'")" -eq 1
}
run "--object-index" by_index

by_identifier() {
    user --write-object "$DATA" --type data --label numbered --application-id 1.3.6.1.4.1
    user --read-object --type data --application-id 1.3.6.1.4.1 --output-file "$WORK/back"
    cmp "$DATA" "$WORK/back"
}
run "--application-id" by_identifier

change_pin() {
    user --change-pin --new-pin changed-pin
    tool --token-label box --login --pin changed-pin --change-pin --new-pin "$PIN"
    user --list-objects
}
run "change the PIN" change_pin

wrong_pin() {
    if tool --token-label box --login --pin wrong-pin --list-objects; then exit 1; fi
    user --list-objects
}
run "a wrong PIN" wrong_pin

change_so_pin() {
    tool --token-label box --login --login-type so --so-pin "$1" --change-pin --new-pin "$2"
}
so_pin() {
    change_so_pin "$SO_PIN" changed-so-pin
    if change_so_pin "$SO_PIN" other-so-pin; then exit 1; fi
    change_so_pin changed-so-pin "$SO_PIN"
}
run "change the SO PIN" so_pin

# PKCS #11 has no PUK: the SO gives a new PIN. What the tool calls unlocking is for smart cards.
given_pin() {
    tool --token-label box --login --login-type so --so-pin "$SO_PIN" --init-pin --new-pin given-pin
    if user --list-objects; then exit 1; fi
    tool --token-label box --login --pin given-pin --change-pin --new-pin "$PIN"
    user --list-objects
}
run "the SO gives a new PIN" given_pin
unlock_pin() {
    if tool --token-label box --unlock-pin --puk "$SO_PIN" --new-pin "$PIN" >"$WORK/out" 2>&1; then
        exit 1
    fi
    grep CKR_PIN_INCORRECT "$WORK/out"
    if tool --token-label box --unlock-pin --login --login-type context-specific --puk "$SO_PIN" \
        --new-pin "$PIN" >"$WORK/out" 2>&1; then exit 1; fi
    grep CKR_OPERATION_NOT_INITIALIZED "$WORK/out"
    user --list-objects
}
run "--unlock-pin is refused" unlock_pin

random() {
    tool --token-label box --generate-random 64 --output-file "$WORK/random"
    test "$(wc -c <"$WORK/random")" -eq 64
}
run "random numbers" random

builtin_test() {
    user --test
}
softhsm2_fails "--test" "OAEP is SHA-1 only (#474)"
run "--test" builtin_test

moz_cert() {
    certificate
    user --moz-cert "$WORK/from.der"
}
run "--moz-cert" moz_cert

hotplug() {
    tool --test-hotplug </dev/null
}
run "--test-hotplug" hotplug

test_ec() {
    user --session-rw --test-ec --key-type EC:prime256v1 --label tested --id 30
}
softhsm2_fails "--test-ec" "hashed ECDSA came with 2.7 (#620)"
run "--test-ec" test_ec

test_fork() {
    user --test-fork
}
softhsm2_fails "--test-fork" "the child inherits the initialised module (#513)"
run "--test-fork" test_fork

test_threads() {
    tool --token-label box --use-locking --test-threads ILGISLT0GM --test-threads ILGISLT0GM
}
softhsm2_races "--test-threads" "two threads in C_Initialize at once crash"
run "--test-threads" test_threads

done_with
