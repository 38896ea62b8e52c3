#!/bin/bash
# OpenSSH: keys of the token in ssh-keygen, ssh-agent and a login to a server of this machine.
set -eu
CLIENT=openssh
. "$(dirname "$0")/lib.sh"
need ssh openssh-client
need ssh-agent openssh-client
need /usr/sbin/sshd openssh-server

new_token box >/dev/null
new_key_pair --key-type rsa:2048 --label rsa --id 01 --usage-sign >/dev/null
new_key_pair --key-type EC:prime256v1 --label ec --id 02 --usage-sign >/dev/null

# OpenSSH asks for the PIN by a program of its own.
printf '#!/bin/sh\necho %s\n' "$PIN" >"$WORK/askpass"
chmod 700 "$WORK/askpass"
export SSH_ASKPASS="$WORK/askpass" SSH_ASKPASS_REQUIRE=force DISPLAY=none
with() {
    timeout 60 "$@" </dev/null
}

with ssh-keygen -D "$MODULE" >"$WORK/keys" 2>/dev/null || :
# public_key KIND: the line of the key in the form of OpenSSH.
public_key() {
    grep "^$1 " "$WORK/keys"
}

listed() {
    cat "$WORK/keys"
    public_key "$1"
}
run "ssh-keygen -D lists the RSA key" listed ssh-rsa
run "ssh-keygen -D lists the EC key" listed ecdsa-sha2-nistp256

# The agent may load this module only. Each case has an agent of its own.
agent() {
    eval "$(ssh-agent -P "$MODULE")" >/dev/null
    SERVER=$SSH_AGENT_PID
    trap 'kill "$SERVER" 2>/dev/null || true' EXIT
    with ssh-add -s "$MODULE"
}

agent_lists() {
    agent
    with ssh-add -l | tee "$WORK/agent"
    grep RSA "$WORK/agent"
    grep ECDSA "$WORK/agent"
}
run "ssh-agent takes the keys" agent_lists

agent_signs() {
    agent
    public_key "$1" >"$WORK/agent.pub"
    with ssh-add -T "$WORK/agent.pub"
}
run "ssh-agent signs, RSA" agent_signs ssh-rsa
run "ssh-agent signs, EC" agent_signs ecdsa-sha2-nistp256

agent_forgets() {
    agent
    with ssh-add -e "$MODULE"
    if with ssh-add -l; then exit 1; fi
    with ssh-add -s "$MODULE"
    with ssh-add -l | grep RSA
}
run "ssh-agent gives the token back and takes it again" agent_forgets

signed_file() {
    agent
    public_key "$1" >"$WORK/signer.pub"
    printf 'what is signed' >"$WORK/data"
    rm -f "$WORK/data.sig"
    with ssh-keygen -Y sign -f "$WORK/signer.pub" -n file "$WORK/data"
    printf 'somebody %s\n' "$(cat "$WORK/signer.pub")" >"$WORK/allowed"
    timeout 60 ssh-keygen -Y verify -f "$WORK/allowed" -I somebody -n file -s "$WORK/data.sig" \
        <"$WORK/data"
}
run "a file is signed, RSA" signed_file ssh-rsa
run "a file is signed, EC" signed_file ecdsa-sha2-nistp256

# A server without a port: the client starts it and talks to it through a pipe.
ssh-keygen -q -t ed25519 -N "" -f "$WORK/host_key"
cat >"$WORK/sshd_config" <<CONF
HostKey $WORK/host_key
AuthorizedKeysFile $WORK/authorized_keys
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
CONF
printf 'here %s\n' "$(cut -d ' ' -f 1,2 "$WORK/host_key.pub")" >"$WORK/known_hosts"
test "$(id -u)" -ne 0 || mkdir -p /run/sshd

log_in() {
    with ssh -F none -o "ProxyCommand=/usr/sbin/sshd -i -f $WORK/sshd_config" \
        -o "UserKnownHostsFile=$WORK/known_hosts" -o StrictHostKeyChecking=yes \
        -o PreferredAuthentications=publickey "$@" "$(id -un)@here" 'echo logged in' |
        grep 'logged in'
}

module_logs_in() {
    public_key "$1" >"$WORK/authorized_keys"
    log_in -o IdentityAgent=none -o IdentityFile=none -o "PKCS11Provider=$MODULE"
}
run "log in by the module, RSA" module_logs_in ssh-rsa
run "log in by the module, EC" module_logs_in ecdsa-sha2-nistp256

agent_logs_in() {
    agent
    public_key "$1" >"$WORK/authorized_keys"
    log_in -o IdentityFile=none
}
run "log in by the agent, RSA" agent_logs_in ssh-rsa
run "log in by the agent, EC" agent_logs_in ecdsa-sha2-nistp256

stranger() {
    ssh-keygen -q -t ecdsa -N "" -f "$WORK/stranger"
    cp "$WORK/stranger.pub" "$WORK/authorized_keys"
    ! log_in -o IdentityAgent=none -o IdentityFile=none -o "PKCS11Provider=$MODULE"
}
run "a key that is not allowed does not log in" stranger

certificate() {
    agent
    public_key ecdsa-sha2-nistp256 >"$WORK/ca.pub"
    ssh-keygen -q -t ecdsa -N "" -f "$WORK/user"
    with ssh-keygen -q -s "$WORK/ca.pub" -D "$MODULE" -I somebody -n "$(id -un)" "$WORK/user.pub"
    ssh-keygen -L -f "$WORK/user-cert.pub" | grep 'Signing CA: ECDSA'
    printf 'cert-authority %s\n' "$(cat "$WORK/ca.pub")" >"$WORK/authorized_keys"
    log_in -o IdentityAgent=none -o IdentitiesOnly=yes -o "IdentityFile=$WORK/user" \
        -o "CertificateFile=$WORK/user-cert.pub"
}
run "the key of a CA signs a user's certificate" certificate

done_with
