#!/bin/bash
# NSS: the module in a database of modutil, certificates by certutil, keys by pk12util, and a signed
# document of poppler's pdfsig.
set -eu
CLIENT=nss
. "$(dirname "$0")/lib.sh"
need modutil libnss3-tools
need certutil libnss3-tools
need pk12util libnss3-tools
need cmsutil libnss3-tools
need pdfsig poppler-utils

new_token box >/dev/null
DB="$WORK/db"
mkdir "$DB"
printf '%s' "$PIN" >"$WORK/pin"
printf 'file-password' >"$WORK/file-password"
certutil -N -d "sql:$DB" --empty-password

with() {
    timeout 60 "$@" -d "sql:$DB"
}

added() {
    timeout 60 modutil -force -dbdir "sql:$DB" -add under-test -libfile "$MODULE"
    timeout 60 modutil -dbdir "sql:$DB" -list under-test | tee "$WORK/list"
    grep 'Token Name: *box' "$WORK/list"
}
run "modutil adds the module" added

listed() {
    with certutil -U | tee "$WORK/list"
    grep 'token: box' "$WORK/list"
}
run "certutil lists the token" listed

# noise FILE: what certutil wants to be typed at random.
head -c 2048 /dev/urandom >"$WORK/noise"

self_signed() {
    name=$1
    shift
    with certutil -S -h box -f "$WORK/pin" -n "$name" -s "CN=$name" -x -t "CTu,Cu,Cu" -v 1 \
        -z "$WORK/noise" -m "$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')" "$@"
    with certutil -L -h box -f "$WORK/pin" | grep "box:$name"
    with certutil -K -h box -f "$WORK/pin" | grep "box:$name"
    with certutil -L -h box -f "$WORK/pin" -n "box:$name" -a >"$WORK/$name.pem"
    openssl verify -CAfile "$WORK/$name.pem" "$WORK/$name.pem"
}
run "certutil makes a key and a certificate, RSA" self_signed rsa -k rsa -g 2048 -Z SHA256
run "certutil makes a key and a certificate, RSA PSS" self_signed pss -k rsa -g 2048 --pss -Z SHA256
run "certutil makes a key and a certificate, EC" self_signed ec -k ec -q nistp256 -Z SHA256
run "certutil makes a key and a certificate, P-384" self_signed ec384 -k ec -q secp384r1 -Z SHA384

request() {
    with certutil -R -h box -f "$WORK/pin" -s CN=request -k "$1" "$2" "$3" -z "$WORK/noise" -a \
        -Z SHA256 -o "$WORK/request.pem"
    openssl req -in "$WORK/request.pem" -verify -noout
}
run "certutil requests, RSA" request rsa -g 2048
run "certutil requests, EC" request ec -q nistp256

file_key() {
    openssl req -x509 -newkey "$1" ${2:+-pkeyopt "$2"} -nodes -subj "/CN=file-$3" -days 30 \
        -keyout "$WORK/file.key" -out "$WORK/file-$3.pem" 2>/dev/null
    openssl pkcs12 -export -inkey "$WORK/file.key" -in "$WORK/file-$3.pem" -name "file-$3" \
        -passout file:"$WORK/file-password" -out "$WORK/file.p12"
    with pk12util -i "$WORK/file.p12" -h box -k "$WORK/pin" -w "$WORK/file-password"
    with certutil -K -h box -f "$WORK/pin" | grep "file-$3"
    with certutil -M -h box -f "$WORK/pin" -n "box:file-$3" -t CTu,CTu,CTu
}
run "pk12util imports a key, RSA" file_key rsa:2048 "" rsa
run "pk12util imports a key, EC" file_key ec ec_paramgen_curve:prime256v1 ec

signed_message() {
    printf 'what is signed' >"$WORK/data"
    with cmsutil -S -f "$WORK/pin" -N "box:$1" -i "$WORK/data" -o "$WORK/cms" -G -H SHA256
    openssl cms -verify -in "$WORK/cms" -inform DER -CAfile "$WORK/$1.pem" -purpose any \
        -binary -out "$WORK/back"
    cmp "$WORK/data" "$WORK/back"
}
run "cmsutil signs, RSA" signed_message rsa
run "cmsutil signs, EC" signed_message ec
run "cmsutil signs with an imported key" signed_message file-rsa

opened_message() {
    printf 'what is hidden' >"$WORK/data"
    openssl cms -encrypt -aes256 -binary -in "$WORK/data" -outform DER -out "$WORK/cms" \
        "$WORK/rsa.pem"
    with cmsutil -D -f "$WORK/pin" -i "$WORK/cms" -o "$WORK/back"
    cmp "$WORK/data" "$WORK/back"
}
run "cmsutil decrypts, RSA" opened_message

deleted() {
    with certutil -F -h box -f "$WORK/pin" -n box:ec384
    ! with certutil -L -h box -f "$WORK/pin" -n box:ec384
}
run "certutil deletes a key and its certificate" deleted

# The smallest document that there is; the offsets are sought by the reader.
cat >"$WORK/plain.pdf" <<'PDF'
%PDF-1.4
1 0 obj
<</Type/Catalog/Pages 2 0 R>>
endobj
2 0 obj
<</Type/Pages/Kids[3 0 R]/Count 1>>
endobj
3 0 obj
<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Resources<<>>>>
endobj
xref
0 4
0000000000 65535 f 
0000000009 00000 n 
0000000054 00000 n 
0000000105 00000 n 
trailer
<</Size 4/Root 1 0 R>>
startxref
184
%%EOF
PDF

signed_document() {
    timeout 60 pdfsig -nssdir "$DB" -nss-pwd "$PIN" -add-signature -nick "box:$1" \
        "$WORK/plain.pdf" "$WORK/signed.pdf"
    timeout 60 pdfsig -nssdir "$DB" "$WORK/signed.pdf" | tee "$WORK/list"
    grep 'Signature is Valid' "$WORK/list"
}
softhsm2_fails "pdfsig signs, RSA" "crashes when the program ends (#553)"
run "pdfsig signs, RSA" signed_document rsa

done_with
