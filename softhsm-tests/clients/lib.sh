# What the scripts of the clients share. Source it with CLIENT set to the name of the client.
#
# A case is a shell function. `run NAME FUNCTION [ARGUMENTS]` runs it and prints `ok NAME` or
# `FAIL NAME reason`. `softhsm2_fails NAME REASON`, before it, says that SoftHSM2 fails there: then
# it must fail on SoftHSM2, and only there. `softhsm2_races` says that it may, and
# `fails_everywhere` that it must on every module. `we_differ` says that ours does, on purpose. After
# `cannot_run REASON` no case is run, and each is written down as such.

# A case fails when anything in it fails: the client before a pipe, too, and what is asked of it in a
# substitution. So nobody behind a pipe ends before all is read.
set -o pipefail
shopt -s inherit_errexit

: "${MODULE_UNDER_TEST:?is not set: it takes the path of the PKCS#11 module to test}"
test -r "$MODULE_UNDER_TEST" || { echo "$MODULE_UNDER_TEST: no such module" >&2; exit 2; }
MODULE=$(readlink -f "$MODULE_UNDER_TEST")

# Where Debian has programs for administrators, which need no administrator here.
PATH="$PATH:/usr/sbin:/sbin"

SO_PIN=so-pin-12345678
PIN=user-pin-1234

# need COMMAND PACKAGE: a missing client is an error.
need() {
    command -v "$1" >/dev/null 2>&1 || test -e "$1" || {
        echo "$CLIENT: $1 is missing; it is in the Debian package $2" >&2
        exit 2
    }
}

# cannot_run REASON: the client is not to be had. Its cases are `not run`.
MISSING=
cannot_run() {
    MISSING=$1
    echo "$CLIENT: $1" >&2
}

need pkcs11-tool opensc
need openssl openssl

# first PATHS: the first of them that is there, or nothing.
first() {
    for path in "$@"; do
        test ! -e "$path" || { echo "$path"; return; }
    done
}

WORK=$(mktemp -d)
SERVER=
DAEMONS=
# Who has just been ended may still write into its files: they are removed until nothing is left.
# What the cases came to is the outcome, whatever becomes of the files.
finish() {
    outcome=$?
    set +e
    for process in $SERVER $DAEMONS; do
        kill "$process" 2>/dev/null
    done
    tries=0
    until rm -rf "$WORK" 2>/dev/null || test "$tries" -ge 100; do
        tries=$((tries + 1))
        sleep 0.1
    done
    exit "$outcome"
}
trap finish EXIT
trap 'exit 1' INT TERM

# new_store NAME [SETTING]: an empty store of its own, and a daemon that serves it where one is under
# test. The setting is one of ours.
new_store() {
    mkdir -p "$WORK/$1/softhsm2"
    printf 'directories.tokendir = %s\nlog.level = ERROR\n' "$WORK/$1/softhsm2" \
        >"$WORK/$1/softhsm2.conf"
    printf 'legacy = true\n%s\n[store]\npath = "%s"\n' "${2:-}" "$WORK/$1/store" \
        >"$WORK/$1/strongroom.toml"
    export SOFTHSM2_CONF="$WORK/$1/softhsm2.conf" STRONGROOM_CONF="$WORK/$1/strongroom.toml"
    test -z "${DAEMON_UNDER_TEST:-}" || start_daemon "$WORK/$1"
}

# stand_in NAME: an empty store of its own for a module in SoftHSM2's place: by a softhsm2.conf alone,
# or at a daemon, which is told so.
stand_in() {
    new_store "$1" "compatible = true"
    test -n "${DAEMON_UNDER_TEST:-}" || unset STRONGROOM_CONF STRONGROOM_LOG
}

# drop_store NAME: the end of the store that was made last, and of its daemon.
drop_store() {
    if test -n "${DAEMON_UNDER_TEST:-}"; then
        last=${DAEMONS##* }
        DAEMONS=${DAEMONS% *}
        kill "$last"
        wait "$last" 2>/dev/null || true
    fi
    rm -rf "${WORK:?}/$1"
}

# start_daemon DIRECTORY: a daemon for the store in it, until the script ends. AS is a command that
# starts it as somebody else.
start_daemon() {
    printf '[daemon]\nsocket = "%s"\n' "$1/strongroom.sock" >>"$1/strongroom.toml"
    ${AS:-} "$DAEMON_UNDER_TEST" --config "$1/strongroom.toml" 2>"$1/strongroomd.log" &
    DAEMONS="$DAEMONS $!"
    export STRONGROOM_SOCKET="$1/strongroom.sock"
    tries=0
    until test -S "$STRONGROOM_SOCKET"; do
        tries=$((tries + 1))
        test "$tries" -lt 600 || { cat "$1/strongroomd.log" >&2; exit 2; }
        sleep 0.1
    done
}

new_store first

pkcs11-tool --module "$MODULE" --show-info >"$WORK/info"
if grep -q SoftHSM "$WORK/info"; then
    SOFTHSM2=yes
else
    SOFTHSM2=no
fi

# new_token LABEL: a token with both PINs, in the blank slot.
new_token() {
    pkcs11-tool --module "$MODULE" --init-token --slot-index "${2:-0}" --label "$1" \
        --so-pin "$SO_PIN"
    pkcs11-tool --module "$MODULE" --token-label "$1" --login --login-type so \
        --so-pin "$SO_PIN" --init-pin --new-pin "$PIN"
}

# new_key_pair ARGUMENTS: a key pair on the token `box`, made by pkcs11-tool.
new_key_pair() {
    pkcs11-tool --module "$MODULE" --token-label box --login --pin "$PIN" --keypairgen "$@"
}

FAILED=0
KNOWN=

softhsm2_fails() {
    test "$SOFTHSM2" = no || KNOWN="$KNOWN
$1	$2"
}

# fails_everywhere NAME REASON: the client is at fault, whatever the module.
fails_everywhere() {
    KNOWN="$KNOWN
$1	$2"
}

# we_differ NAME REASON: ours must fail, on purpose; CONFORMANCE.md says more.
we_differ() {
    test "$SOFTHSM2" = yes || KNOWN="$KNOWN
$1	$2"
}

RACES=
softhsm2_races() {
    test "$SOFTHSM2" = no || RACES="$RACES
$1	$2"
}

# reason_in LIST NAME: the reason that was given before the case.
reason_in() {
    printf '%s\n' "$1" | awk -F '\t' -v name="$2" '$1 == name { print $2 }'
}

# record NAME OUTCOME REASON
record() {
    test -z "${RESULTS:-}" ||
        printf 'clients::%s [%s]\t%s\t%s\t\n' "$CLIENT" "$1" "$2" "$3" >>"$RESULTS"
}

# attempt COMMAND: runs it by itself, unseen; its outcome is in `status`.
attempt() {
    set +e
    (
        set -eu
        SERVER=
        "$@"
    ) >"$WORK/log" 2>&1
    status=$?
    set -e
}

# as_said: whether `status` is what was said of the case before, by a reason in `known`.
as_said() {
    if test "$status" -eq 0; then test -z "$known"; else test -n "$known$raced"; fi
}

# skipped NAME REASON: a case that is not run, which is not a pass.
skipped() {
    echo "not run $1: $2"
    record "$1" "not run" "$2"
}

# backport PACKAGE...: the packages of Debian's backports are unpacked in `BACKPORTS`, beside what is
# built; or the client cannot run.
backport() {
    BACKPORTS=${CARGO_TARGET_DIR:-$(dirname "$0")/../../target}/softhsm-tests/backports/$1
    test -e "$BACKPORTS/unpacked" || {
        "$(dirname "$0")/../debian-backport" "$BACKPORTS" "$@" >"$WORK/log" 2>&1 &&
            touch "$BACKPORTS/unpacked"
    } || {
        tail -n 3 "$WORK/log" >&2
        cannot_run "there is no $1 in the backports of this distribution"
    }
    BACKPORTS=$(readlink -f "$BACKPORTS")
}

# pkcs11_provider: where OpenSSL's provider is, in `PROVIDER`: the distribution's own, or that of
# Debian 12's backports.
pkcs11_provider() {
    PROVIDER=$(first /usr/lib/*/ossl-modules/pkcs11.so)
    test -z "$PROVIDER" || return 0
    backport pkcs11-provider
    PROVIDER=$(first "$BACKPORTS"/usr/lib/*/ossl-modules/pkcs11.so)
}

# provider_configuration [LINES]: OpenSSL's configuration with that provider, and lines for it.
provider_configuration() {
    printf '%s' "$PIN" >"$WORK/pin"
    cat <<CONF
openssl_conf = init
[init]
providers = providers
[providers]
default = built_in
pkcs11 = token
[built_in]
activate = 1
[token]
module = $PROVIDER
pkcs11-module-path = $MODULE
pkcs11-module-token-pin = file:$WORK/pin
${1:-}
activate = 1
CONF
}

# openssl_engine: where the engine of libp11 is, in `ENGINE`.
openssl_engine() {
    ENGINE=$(first /usr/lib/*/engines-3/pkcs11.so)
    need "${ENGINE:-engines-3/pkcs11.so}" libengine-pkcs11-openssl
}

# engine_configuration: OpenSSL's configuration with that engine, which openssl starts itself.
engine_configuration() {
    cat <<CONF
openssl_conf = init
[init]
engines = engines
[engines]
pkcs11 = pkcs11
[pkcs11]
engine_id = pkcs11
dynamic_path = $ENGINE
MODULE_PATH = $MODULE
PIN = $PIN
init = 0
CONF
}

run() {
    name=$1
    shift
    test -z "$MISSING" || {
        skipped "$name" "$MISSING"
        return
    }
    known=$(reason_in "$KNOWN" "$name")
    raced=$(reason_in "$RACES" "$name")
    attempt "$@"
    # SoftHSM2 is the measure and not what is measured: what it does once in many times is no news.
    as_said || test "$SOFTHSM2" = no || attempt "$@"
    test "$status" -eq 0 || known=$known$raced
    if test "$status" -eq 0 && test -z "$known"; then
        echo "ok $name"
        record "$name" pass ""
    elif test "$status" -eq 0; then
        echo "FAIL $name passes, though a failure was expected: $known"
        record "$name" fail "passes, though a failure was expected: $known"
        FAILED=1
    elif test -n "$known"; then
        echo "ok $name fails as expected: $known"
        record "$name" fail "$known"
    else
        reason=$(sed '/^$/d' "$WORK/log" | tail -n 8 | tr '\n\t' '  ')
        echo "FAIL $name status $status: $reason"
        record "$name" fail "status $status: $reason"
        FAILED=1
    fi
}

# await COMMAND: until it succeeds, for as long as the server lives that must make it so.
await() {
    tries=0
    until "$@"; do
        kill -0 "$SERVER"
        tries=$((tries + 1))
        test "$tries" -lt 300
        sleep 0.1
    done
}

# served KEY CERTIFICATE VERSION [ARGUMENTS]: OpenSSL's server on loopback, by the configuration
# `openssl.cnf`, with a key on the token, and a client that knows the certificate.
served() {
    key=$1
    certificate=$2
    version=$3
    shift 3
    : >"$WORK/server.log"
    mkfifo "$WORK/server.in"
    OPENSSL_CONF="$WORK/openssl.cnf" openssl s_server -key "$key" -cert "$certificate" \
        -accept 127.0.0.1:0 -naccept 1 "$version" "$@" <>"$WORK/server.in" \
        >"$WORK/server.log" 2>&1 &
    SERVER=$!
    trap 'kill "$SERVER" 2>/dev/null || true; wait "$SERVER" || true; rm -f "$WORK/server.in"; cat "$WORK/server.log"' EXIT
    await grep -q '^ACCEPT 127' "$WORK/server.log"
    port=$(sed -n '/^ACCEPT 127/{s/.*://p;q}' "$WORK/server.log")
    echo Q | timeout 60 openssl s_client -connect "127.0.0.1:$port" -CAfile "$certificate" \
        -verify_return_error "$version" >"$WORK/client.log" 2>&1 || {
        cat "$WORK/client.log"
        exit 1
    }
    grep 'Verify return code: 0' "$WORK/client.log" || grep 'Verification: OK' "$WORK/client.log"
}

# The last line of each script.
done_with() {
    exit "$FAILED"
}
