#!/bin/bash
# strongSwan: certificates by its pki tool, with keys of the token through the plugin pkcs11.
set -eu
CLIENT=strongswan
. "$(dirname "$0")/lib.sh"
need pki strongswan-pki
PLUGIN=$(first /usr/lib/ipsec/plugins/libstrongswan-pkcs11.so)
need "${PLUGIN:-libstrongswan-pkcs11.so}" libstrongswan-extra-plugins

new_token box >/dev/null
new_key_pair --key-type rsa:2048 --label rsa --id 01 --usage-sign >/dev/null
new_key_pair --key-type EC:prime256v1 --label ec --id 02 --usage-sign >/dev/null

# Only this module, and keys of the token before its own.
cat >"$WORK/strongswan.conf" <<CONF
pki {
    load = pkcs11 random nonce x509 pubkey pkcs1 pkcs8 pem openssl
}
libstrongswan {
    plugins {
        pkcs11 {
            load_certs = no
            modules {
                box {
                    path = $MODULE
                }
            }
        }
    }
}
CONF
export STRONGSWAN_CONF="$WORK/strongswan.conf"
# It asks for the PIN on a terminal; a terminal is made for it.
with_pin() {
    timeout 60 python3 -c '
import os, pty, sys
os.environ["OUT"] = sys.argv[1]
pin = sys.argv[2].encode()
command = sys.argv[3:]
asked = [False]
def read(fd):
    data = os.read(fd, 1024)
    if b"PIN" in data or b"assphrase" in data:
        os.write(fd, pin + b"\n")
    return data
status = pty.spawn(["/bin/sh", "-c", "exec \"$@\" >\"$OUT\"", "sh"] + command, read)
sys.exit(os.waitstatus_to_exitcode(status))
' "$@" </dev/null
}

public_key() {
    with_pin "$WORK/$1.pub" "$PIN" pki --pub --type priv --keyid "$2" --outform pem
    openssl pkey -pubin -in "$WORK/$1.pub" -noout -text
}
for name in "the public key" "a certificate" "a request" "issues a certificate"; do
    for kind in RSA EC; do
        softhsm2_fails "$name, $kind" "crashes when the program ends (#553)"
    done
done
run "the public key, RSA" public_key rsa 01
run "the public key, EC" public_key ec 02

self_signed() {
    with_pin "$WORK/$1.pem" "$PIN" pki --self --type priv --keyid "$2" \
        --dn "CN=box $1" --ca --lifetime 30 --outform pem
    openssl verify -CAfile "$WORK/$1.pem" "$WORK/$1.pem"
    pki --verify --in "$WORK/$1.pem" --ca "$WORK/$1.pem" | grep 'certificate trusted'
}
run "a certificate, RSA" self_signed rsa 01
run "a certificate, EC" self_signed ec 02

request() {
    with_pin "$WORK/request.pem" "$PIN" pki --req --type priv --keyid "$2" \
        --dn CN=request --outform pem
    openssl req -in "$WORK/request.pem" -verify -noout
}
run "a request, RSA" request rsa 01
run "a request, EC" request ec 02

issued() {
    openssl req -new -newkey rsa:2048 -nodes -keyout "$WORK/leaf.key" -subj /CN=leaf \
        -out "$WORK/leaf.csr" 2>/dev/null
    with_pin "$WORK/leaf.pem" "$PIN" pki --issue --type pkcs10 --in "$WORK/leaf.csr" \
        --cacert "$WORK/$1.pem" --cakeyid "$2" --lifetime 10 \
        --dn CN=leaf --outform pem
    openssl verify -CAfile "$WORK/$1.pem" "$WORK/leaf.pem"
}
run "issues a certificate, RSA" issued rsa 01
run "issues a certificate, EC" issued ec 02

done_with
