#!/bin/bash
# GnuTLS: certificates by certtool, and a TLS server and client with keys of the token.
set -eu
# Its server listens on every address: so it gets a network of its own, which is loopback alone.
if test -z "${ALONE:-}"; then
    ALONE=yes exec unshare --map-root-user --net sh -c 'ip link set lo up && exec "$0"' "$0"
fi
CLIENT=gnutls
. "$(dirname "$0")/lib.sh"
need ip iproute2
need certtool gnutls-bin
need gnutls-serv gnutls-bin
need gnutls-cli gnutls-bin

new_token box >/dev/null
new_key_pair --key-type rsa:2048 --label rsa --id 01 --usage-sign --usage-decrypt >/dev/null
new_key_pair --key-type EC:prime256v1 --label ec --id 02 --usage-sign >/dev/null
new_key_pair --key-type EC:secp384r1 --label ec384 --id 03 --usage-sign >/dev/null

export GNUTLS_PIN="$PIN"
with() {
    timeout 60 "$@" --provider "$MODULE"
}
key() {
    echo "pkcs11:token=box;object=$1;type=private"
}

cat >"$WORK/ca.tmpl" <<CONF
cn = "box"
serial = 1
expiration_days = 30
ca
cert_signing_key
signing_key
encryption_key
CONF

self_signed() {
    with certtool --generate-self-signed --template "$WORK/ca.tmpl" --load-privkey "$(key "$1")" \
        --load-pubkey "pkcs11:token=box;object=$1;type=public" "$2" --outfile "$WORK/$1.pem"
    openssl verify -CAfile "$WORK/$1.pem" "$WORK/$1.pem"
    certtool --verify --load-ca-certificate "$WORK/$1.pem" --infile "$WORK/$1.pem"
}
run "certtool makes a certificate, RSA PSS" self_signed rsa --sign-params=RSA-PSS
run "certtool makes a certificate, RSA" self_signed rsa --hash=SHA256
run "certtool makes a certificate, EC" self_signed ec --hash=SHA256
run "certtool makes a certificate, P-384" self_signed ec384 --hash=SHA384

cat >"$WORK/leaf.tmpl" <<CONF
cn = "localhost"
dns_name = "localhost"
expiration_days = 30
signing_key
tls_www_server
CONF

request() {
    with certtool --generate-request --template "$WORK/leaf.tmpl" --load-privkey "$(key "$1")" \
        --load-pubkey "pkcs11:token=box;object=$1;type=public" --outfile "$WORK/leaf.csr"
    openssl req -in "$WORK/leaf.csr" -verify -noout
}
run "certtool makes a request, RSA" request rsa
run "certtool makes a request, EC" request ec

signed_by_ca() {
    certtool --generate-privkey --key-type ecdsa --outfile "$WORK/leaf.key"
    certtool --generate-request --template "$WORK/leaf.tmpl" --load-privkey "$WORK/leaf.key" \
        --outfile "$WORK/leaf.csr"
    with certtool --generate-certificate --template "$WORK/leaf.tmpl" \
        --load-request "$WORK/leaf.csr" --load-ca-certificate "$WORK/$1.pem" \
        --load-ca-privkey "$(key "$1")" --outfile "$WORK/leaf.pem"
    openssl verify -CAfile "$WORK/$1.pem" "$WORK/leaf.pem"
}
run "certtool signs a request, RSA" signed_by_ca rsa
run "certtool signs a request, EC" signed_by_ca ec

# serve ARGUMENTS: a server that gives back what it gets.
serve() {
    # What the one before said is not said by this one.
    : >"$WORK/server.log"
    gnutls-serv --provider "$MODULE" --port 5556 --echo "$@" >"$WORK/server.log" 2>&1 </dev/null &
    SERVER=$!
    trap 'kill "$SERVER" 2>/dev/null || true; wait "$SERVER" || true; cat "$WORK/server.log"' EXIT
    await grep -q 'listening.*done' "$WORK/server.log"
}

# What the client sends ends only when the answer is there.
patiently_hello() {
    echo hello
    tries=0
    until grep -q '^hello' "$WORK/client.log" || test "$tries" -ge 500; do
        tries=$((tries + 1))
        sleep 0.1
    done
}

say_hello() {
    : >"$WORK/client.log"
    patiently_hello | with gnutls-cli 127.0.0.1 --port 5556 --verify-hostname=box "$@" \
        >"$WORK/client.log" || :
    cat "$WORK/client.log"
    grep '^hello' "$WORK/client.log"
}

tls() {
    serve --x509certfile "$WORK/$1.pem" --x509keyfile "$(key "$1")" --priority "$2"
    say_hello --x509cafile "$WORK/$1.pem" --priority "$2"
}
run "a TLS 1.3 server, RSA" tls rsa NORMAL:-VERS-ALL:+VERS-TLS1.3
run "a TLS 1.2 server, RSA" tls rsa NORMAL:-VERS-ALL:+VERS-TLS1.2
run "a TLS 1.3 server, EC" tls ec NORMAL:-VERS-ALL:+VERS-TLS1.3
run "a TLS 1.2 server, P-384" tls ec384 NORMAL:-VERS-ALL:+VERS-TLS1.2

both_keys() {
    serve --x509certfile "$WORK/rsa.pem" --x509keyfile "$(key rsa)" --require-client-cert \
        --verify-client-cert --x509cafile "$WORK/ec.pem"
    say_hello --x509cafile "$WORK/rsa.pem" --x509certfile "$WORK/ec.pem" \
        --x509keyfile "$(key ec)"
}
run "a TLS client shows a key of the token" both_keys

certificate_on_token() {
    with p11tool --batch --login --write --load-certificate "$WORK/ec.pem" --label ec --id 02 \
        'pkcs11:token=box'
    with p11tool --batch --export 'pkcs11:token=box;object=ec;type=cert' --outfile "$WORK/back.pem"
    certtool --certificate-info --infile "$WORK/back.pem" | grep 'CN=box'
}
run "a certificate goes to the token and comes back" certificate_on_token

done_with
