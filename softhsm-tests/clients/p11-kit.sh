#!/bin/bash
# p11-kit: a registered module, and the proxy in front of it.
set -eu
CLIENT=p11-kit
. "$(dirname "$0")/lib.sh"
need p11-kit p11-kit
need p11tool gnutls-bin

PROXY=$(first /usr/lib/*/p11-kit-proxy.so)
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
        ${EXEC:-} timeout 60 setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
    else
        ${EXEC:-} timeout 60 "$@"
    fi
}
pkcs11_tool() {
    as_user pkcs11-tool "$@"
}
test "$(id -u)" -ne 0 || chown -R 65534:65534 "$WORK"
# A daemon serves its own user.
if test "$(id -u)" -eq 0 && test -n "${DAEMON_UNDER_TEST:-}"; then
    drop_store first
    cp "$DAEMON_UNDER_TEST" "$WORK/strongroomd"
    DAEMON_UNDER_TEST="$WORK/strongroomd"
    mkdir "$WORK/nobody"
    chown 65534:65534 "$WORK/nobody"
    AS="setpriv --reuid=65534 --regid=65534 --clear-groups" new_store nobody
fi

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
        --input-file "$WORK/digest" --signature-file "$WORK/signature" | grep 'Signature is valid'
    pkcs11_tool --module "$MODULE" --token-label box --login --pin "$PIN" --list-objects |
        grep proxied
}
run "the proxy makes a key and signs" proxy_key

registered() {
    as_user env GNUTLS_PIN="$PIN" p11tool --batch --login --list-all 'pkcs11:token=box' | grep proxied
}
run "GnuTLS finds the registered module" registered

# A server in front of the token, and p11-kit's own client module as its caller.
CLIENT_MODULE=$(first /usr/lib/*/pkcs11/p11-kit-client.so)
need "${CLIENT_MODULE:-p11-kit-client.so}" p11-kit-modules
need /usr/libexec/p11-kit/p11-kit-server p11-kit

serve() {
    rm -f "$WORK/socket"
    # Its own process, and no shell's, so that the signal reaches it.
    EXEC=exec as_user p11-kit server --foreground --provider "$MODULE" --name "$WORK/socket" \
        'pkcs11:token=box' >"$WORK/server.log" 2>&1 &
    SERVER=$!
    trap 'kill "$SERVER" 2>/dev/null || true; wait "$SERVER" || true; cat "$WORK/server.log"' EXIT
    await test -S "$WORK/socket"
    export P11_KIT_SERVER_ADDRESS="unix:path=$WORK/socket"
}

remote() {
    pkcs11_tool --module "$CLIENT_MODULE" --token-label box --login --pin "$PIN" "$@"
}

server_lists() {
    serve
    # With a login it lists them, and then looks for the token in a slot that is none.
    pkcs11_tool --module "$CLIENT_MODULE" --list-token-slots | grep box
    remote --list-objects | grep proxied
}
run "the server lists the token and its objects" server_lists

server_signs() {
    serve
    remote --keypairgen --key-type "$1" --label remote --id "$2" --usage-sign
    printf data | openssl dgst -sha256 -binary >"$WORK/digest"
    remote --sign --id "$2" --mechanism "$3" --input-file "$WORK/digest" \
        --output-file "$WORK/signature"
    remote --verify --id "$2" --mechanism "$3" --input-file "$WORK/digest" \
        --signature-file "$WORK/signature" | grep 'Signature is valid'
    pkcs11_tool --module "$MODULE" --token-label box --login --pin "$PIN" --list-objects |
        grep remote
}
run "the server makes a key and signs, RSA" server_signs rsa:2048 11 SHA256-RSA-PKCS
run "the server makes a key and signs, EC" server_signs EC:prime256v1 12 ECDSA

server_threads() {
    serve
    callers=
    for _ in 1 2 3 4; do
        (for _ in 1 2 3 4 5; do
            remote --sign --id 12 --mechanism ECDSA --input-file "$WORK/digest" \
                --output-file /dev/null
        done) &
        callers="$callers $!"
    done
    for caller in $callers; do
        wait "$caller"
    done
}
softhsm2_races "the server has four callers at once" "processes trip over each other (#573, #757)"
run "the server has four callers at once" server_threads

done_with
