#!/bin/bash
# Node.js: programs over pkcs11js and graphene-pk11.
set -eu
CLIENT=node
. "$(dirname "$0")/lib.sh"
need node nodejs
need npm npm
need make make
need g++ g++

# The packages are installed once, beside what is built; one of them compiles against Node's headers.
PACKAGES=${CARGO_TARGET_DIR:-$(dirname "$0")/../../target}/softhsm-tests/node
WANTED="pkcs11js@2.1.7 graphene-pk11@2.3.6"
test "$(cat "$PACKAGES/installed" 2>/dev/null)" = "$WANTED" || {
    rm -rf "$PACKAGES"
    mkdir -p "$PACKAGES"
    # shellcheck disable=SC2086
    npm_config_nodedir=/usr npm install --silent --no-audit --no-fund --prefix "$PACKAGES" $WANTED
    echo "$WANTED" >"$PACKAGES/installed"
}
need "$PACKAGES/node_modules/pkcs11js/build/Release/pkcs11.node" libnode-dev

new_token box >/dev/null

program() {
    NODE_PATH="$PACKAGES/node_modules" timeout 60 node "$(dirname "$0")/node/program.js" \
        "$MODULE" "$PIN" "$1"
}
for name in info rsa ec aes objects; do
    run "pkcs11js: $name" program "pkcs11js-$name"
done
for name in token rsa aes digest find; do
    run "graphene-pk11: $name" program "graphene-$name"
done

done_with
