#!/bin/sh
# The own tests of the cryptoki crate, as its package carries them.
set -eu
CLIENT=cryptoki
. "$(dirname "$0")/lib.sh"
need cargo rustup

# The package is where cargo has it, in the version that Cargo.lock names. It is copied and built
# beside what else is built.
HERE=$(cd "$(dirname "$0")/../.." && pwd)
BUILT=${CARGO_TARGET_DIR:-$HERE/target}/softhsm-tests/cryptoki
SOURCE=$(cargo metadata --manifest-path "$HERE/Cargo.toml" --locked --format-version 1 |
    python3 -c '
import json, os, sys
packages = json.load(sys.stdin)["packages"]
paths = [package["manifest_path"] for package in packages if package["name"] == "cryptoki"]
print(os.path.dirname(paths[0]))')
test "$(cat "$BUILT/from" 2>/dev/null)" = "$(basename "$SOURCE")" || {
    rm -rf "$BUILT"
    mkdir -p "$BUILT"
    cp -R "$SOURCE" "$BUILT/source"
    chmod -R u+w "$BUILT/source"
    printf '\n[workspace]\n' >>"$BUILT/source/Cargo.toml"
    basename "$SOURCE" >"$BUILT/from"
}
(cd "$BUILT/source" && CARGO_TARGET_DIR="$BUILT/target" \
    cargo test --quiet --locked --tests --no-run --message-format json 2>/dev/null) |
    python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["kind"] == ["test"]:
        print(message["target"]["name"], message["executable"])' >"$WORK/programs"
test -s "$WORK/programs"

# own_test PROGRAM NAME: in a store of its own, where the program makes its token itself.
own_test() {
    case $2 in
        # The two of these that expect what only SoftHSM2 answers are asked of a module that stands
        # in its place.
        get_slot_event | wait_for_slot_event)
            export TEST_PRETEND_LIBRARY=softhsm
            unset STRONGROOM_CONF
            ;;
    esac
    TEST_PKCS11_MODULE="$MODULE" timeout 120 "$1" --exact "$2" --test-threads 1
}

for name in derive_key_concatenation_key_and_data derive_key_extract_from_key \
    derive_key_xor_key_and_data; do
    we_differ "basic::$name" \
        "reads what it derives from a key that it made without CKA_SENSITIVE, which ours keeps secret"
done
for name in counter_mode feedback_mode additional_keys_counter_mode additional_keys_feedback_mode; do
    we_differ "basic::kbkdf_$name" "AES keys sign and verify unless the template says otherwise"
done

count=0
while read -r program path; do
    for name in $("$path" --list 2>/dev/null | sed -n 's/: test$//p'); do
        count=$((count + 1))
        new_store "cryptoki-$count"
        run "$program::$name" own_test "$path" "$name"
        rm -rf "$WORK/cryptoki-$count"
    done
done <"$WORK/programs"

done_with
