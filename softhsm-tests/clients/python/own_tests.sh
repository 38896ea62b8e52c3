# What the scripts share that run the own tests of a Python package, as its source package carries
# them. Source it after lib.sh.

need python3 python3
python3 -m pip --version >/dev/null 2>&1 || need pip3 python3-pip

# The packages are installed once, beside what is built.
PACKAGES=${CARGO_TARGET_DIR:-$(dirname "$0")/../../target}/softhsm-tests/$CLIENT

# fetch TESTS PACKAGE==VERSION...: the packages, built, and of the first one's source the tests alone,
# which lie there in the folder TESTS.
fetch() {
    printf '%s\n' "$@" >"$WORK/fetched"
    cmp -s "$WORK/fetched" "$PACKAGES/fetched" && return
    tests=$1
    shift
    rm -rf "$PACKAGES"
    mkdir -p "$PACKAGES/source/tests"
    python3 -m pip install --quiet --root-user-action=ignore --only-binary :all: \
        --target "$PACKAGES" "$@"
    timeout 300 python3 -m pip download --quiet --no-deps --no-binary "${1%%==*}" \
        --dest "$PACKAGES/source" "$1"
    tar --extract --gzip --strip-components 2 --directory "$PACKAGES/source/tests" \
        --file "$PACKAGES/source"/*.tar.gz --wildcards "*/$tests"
    touch "$PACKAGES/source/tests/__init__.py"
    cp "$WORK/fetched" "$PACKAGES/fetched"
}

# ask: the tests, each of which comes to a line in the file `outcomes`.
ask() {
    PYTHONPATH="$PACKAGES" timeout 300 python3 "$(dirname "$0")/python/own_tests.py" \
        "$PACKAGES/source" "$WORK/outcomes" >"$WORK/said" 2>&1 || tail -n 5 "$WORK/said"
    test -s "$WORK/outcomes"
}

# came_to NAME: the outcome of a test, and why.
came_to() {
    awk -F '\t' -v name="$1" '$1 == name { print $3; found = $2 == "pass" } END { exit !found }' \
        "$WORK/outcomes"
}

# run_each: a case for each test.
run_each() {
    run "to the end" came_to "to the end"
    while IFS='	' read -r name outcome reason; do
        case $outcome in
            # Its own reasons: a mechanism that is not there.
            skip) skipped "$name" "$reason" ;;
            *) test "$name" = "to the end" || run "$name" came_to "$name" ;;
        esac
    done <"$WORK/outcomes"
}
