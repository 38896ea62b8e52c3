#!/bin/sh
# p11-kit: a registered module, and the proxy in front of it.
set -eu
CLIENT=p11-kit
. "$(dirname "$0")/lib.sh"
need p11-kit p11-kit
need p11tool gnutls-bin

PROXY=$(ls /usr/lib/*/p11-kit-proxy.so 2>/dev/null | head -n 1)
need "${PROXY:-p11-kit-proxy.so}" p11-kit-modules

# The user's configuration, in a home of its own, with this one module. p11-kit reads no user's
# configuration for root: then everything here is done as nobody, with a copy of the module.
export HOME="$WORK/home" XDG_CONFIG_HOME="$WORK/home/.config"
mkdir -p "$XDG_CONFIG_HOME/pkcs11/modules"
cp "$MODULE" "$WORK/under-test.so"
MODULE="$WORK/under-test.so"
echo 'user-config: only' >"$XDG_CONFIG_HOME/pkcs11/pkcs11.conf"
echo "module: $MODULE" >"$XDG_CONFIG_HOME/pkcs11/modules/under-test.module"

as_user() {
    if test "$(id -u)" -eq 0; then
        timeout 60 setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
    else
        timeout 60 "$@"
    fi
}
pkcs11_tool() {
    as_user pkcs11-tool "$@"
}
test "$(id -u)" -ne 0 || chown -R 65534:65534 "$WORK"

prepare() {
    pkcs11_tool --module "$MODULE" --init-token --slot-index 0 --label box --so-pin "$SO_PIN"
    pkcs11_tool --module "$MODULE" --token-label box --login --login-type so \
        --so-pin "$SO_PIN" --init-pin --new-pin "$PIN"
}
run "a token" prepare

modules() {
    as_user p11-kit list-modules >"$WORK/modules"
    cat "$WORK/modules"
    grep 'under-test.so' "$WORK/modules"
    grep 'token: box' "$WORK/modules"
    # No other module: what the next cases find is found in the one under test.
    test "$(grep -c '^[^ ]' "$WORK/modules")" -eq 1
}
run "list modules" modules

tokens() {
    as_user p11tool --list-token-urls | grep 'token=box'
}
run "list tokens" tokens

proxy() {
    pkcs11_tool --module "$PROXY" "$@"
}

proxy_slots() {
    proxy --list-token-slots | grep box
}
run "the proxy lists the token" proxy_slots

proxy_key() {
    proxy --token-label box --login --pin "$PIN" --keypairgen --key-type EC:prime256v1 \
        --label proxied --id 01 --usage-sign
    printf data | openssl dgst -sha256 -binary >"$WORK/digest"
    proxy --token-label box --login --pin "$PIN" --sign --id 01 --mechanism ECDSA \
        --input-file "$WORK/digest" --output-file "$WORK/signature"
    proxy --token-label box --login --pin "$PIN" --verify --id 01 --mechanism ECDSA \
        --input-file "$WORK/digest" --signature-file "$WORK/signature" | grep valid
    pkcs11_tool --module "$MODULE" --token-label box --login --pin "$PIN" --list-objects |
        grep proxied
}
run "the proxy makes a key and signs" proxy_key

registered() {
    as_user env GNUTLS_PIN="$PIN" p11tool --batch --login --list-all 'pkcs11:token=box' | grep proxied
}
run "GnuTLS finds the registered module" registered

done_with
