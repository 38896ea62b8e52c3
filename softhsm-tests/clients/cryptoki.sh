#!/bin/bash
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
    cargo test --quiet --locked --tests --no-run --message-format json) \
    >"$WORK/built" 2>"$WORK/log" || { tail -n 20 "$WORK/log" >&2; exit 2; }
python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["kind"] == ["test"]:
        print(message["target"]["name"], message["executable"])' <"$WORK/built" >"$WORK/programs"

# Tests that know SoftHSM2, and treat it apart: two expect what only it answers, the others leave it
# out, because it has no such mechanism, and expect defaults of attributes that are neither its own nor
# ours. They are asked of a module that stands in its place.
AS_SOFTHSM2="get_slot_event wait_for_slot_event
    derive_key_concatenation_key_and_data derive_key_extract_from_key derive_key_xor_key_and_data
    kbkdf_counter_mode kbkdf_feedback_mode
    kbkdf_additional_keys_counter_mode kbkdf_additional_keys_feedback_mode"

# treats_it_apart NAME
treats_it_apart() {
    for other in $AS_SOFTHSM2; do
        test "$1" != "$other" || return 0
    done
    return 1
}

# own_test PROGRAM NAME: in a store of its own, where the program makes its token itself.
own_test() {
    if treats_it_apart "$2"; then
        export TEST_PRETEND_LIBRARY=softhsm
    fi
    TEST_PKCS11_MODULE="$MODULE" timeout 120 "$1" --exact "$2" --test-threads 1
}

count=0
while read -r program path; do
    "$path" --list >"$WORK/listed" 2>/dev/null
    for name in $(sed -n 's/: test$//p' "$WORK/listed"); do
        count=$((count + 1))
        if treats_it_apart "$name"; then
            stand_in "cryptoki-$count"
        else
            new_store "cryptoki-$count"
        fi
        run "$program::$name" own_test "$path" "$name"
        drop_store "cryptoki-$count"
    done
done <"$WORK/programs"
test "$count" -gt 0 || { echo "$CLIENT: its programs have no test" >&2; exit 2; }

done_with
