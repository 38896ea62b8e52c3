#!/bin/bash
# nginx: a TLS server on loopback whose workers use a key of the token through OpenSSL's engine.
set -eu
CLIENT=nginx
. "$(dirname "$0")/lib.sh"
need nginx nginx-light
need curl curl
need pgrep procps
openssl_engine

# The workers run as nobody where the master is root, and open the module again after the fork.
chmod 755 "$WORK"
new_token box >/dev/null
new_key_pair --key-type rsa:2048 --label rsa --id 01 --usage-sign >/dev/null
new_key_pair --key-type EC:prime256v1 --label ec --id 02 --usage-sign >/dev/null

engine_configuration >"$WORK/openssl.cnf"
# A second file: a configuration that is loaded twice would load the engine twice.
cat >"$WORK/req.cnf" <<CONF
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical,CA:true
subjectAltName = DNS:localhost,IP:127.0.0.1
CONF

# Here openssl starts the engine itself; in nginx the configuration has to.
sed 's/^init = 0/init = 1/' "$WORK/openssl.cnf" >"$WORK/server.cnf"

certificate() {
    OPENSSL_CONF="$WORK/openssl.cnf" timeout 60 openssl req -new -x509 -engine pkcs11 \
        -keyform engine -key "pkcs11:token=box;object=$1;type=private" -sha256 -days 30 \
        -subj /CN=localhost -extensions ca -config "$WORK/req.cnf" -out "$WORK/$1.pem"
}
run "a certificate, RSA" certificate rsa
run "a certificate, EC" certificate ec

# A server may not choose its port, so a free one is sought.
free_port() {
    python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# serve KEY WORKERS
serve() {
    PORT=$(free_port)
    cat >"$WORK/nginx.conf" <<CONF
user $(id -un);
worker_processes $2;
pid $WORK/nginx.pid;
error_log $WORK/error.log;
env SOFTHSM2_CONF;
env STRONGROOM_CONF;
env STRONGROOM_SOCKET;
env OPENSSL_CONF;
events {}
http {
    access_log off;
    client_body_temp_path $WORK/body;
    proxy_temp_path $WORK/proxy;
    fastcgi_temp_path $WORK/fastcgi;
    uwsgi_temp_path $WORK/uwsgi;
    scgi_temp_path $WORK/scgi;
    server {
        listen 127.0.0.1:$PORT ssl;
        ssl_certificate $WORK/$1.pem;
        ssl_certificate_key "engine:pkcs11:pkcs11:token=box;object=$1;type=private";
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache off;
        ssl_session_tickets off;
        location / { return 200 "from a key of the token"; }
    }
}
CONF
    OPENSSL_CONF="$WORK/server.cnf" nginx -e "$WORK/error.log" -c "$WORK/nginx.conf" \
        -g 'daemon off;' &
    SERVER=$!
    trap 'kill "$SERVER" 2>/dev/null || true; wait "$SERVER" || true; cat "$WORK/error.log"' EXIT
    await fetch "$1" >/dev/null 2>&1
}

fetch() {
    key=$1
    shift
    curl --silent --show-error --max-time 20 --cacert "$WORK/$key.pem" "$@" \
        "https://localhost:$PORT/" | grep 'from a key of the token'
}

# Each connection is a handshake of its own, and so a signature.
handshakes() {
    serve "$1" "$2"
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        fetch "$1" --tlsv1.3
        fetch "$1" --tlsv1.2 --tls-max 1.2
    done
}
run "handshakes, RSA" handshakes rsa 1
run "handshakes, EC" handshakes ec 1
run "handshakes, four workers" handshakes ec 4

# gone PROCESS...: whether none of them is there.
gone() {
    for process in "$@"; do
        if kill -0 "$process" 2>/dev/null; then return 1; fi
    done
}

# Workers end and new ones begin, with the module that the master has loaded. Who answers is a new one.
reload() {
    serve rsa 2
    workers=$(pgrep --parent "$SERVER")
    test "$(echo "$workers" | wc -l)" -eq 2
    kill -HUP "$SERVER"
    # shellcheck disable=SC2086
    await gone $workers
    for _ in 1 2 3 4 5; do
        fetch rsa
    done
    kill -QUIT "$SERVER"
    wait "$SERVER"
}
run "a reload and an orderly end" reload

done_with
