#!/bin/sh
# Makes what the three nodes of docker-compose.yml need: an authority, certificates, configurations. Run by the
# one-shot service `init` at each `up`. The authority and the clients' certificates are made once and kept; those
# of the nodes are made anew, so that they carry the present name of the host.
set -eu
umask 077
setup=$(dirname "$0")
host=${MEMRAFT_HOST:-localhost}
root=${MEMRAFT_INIT_ROOT:-}

issue() { # directory, then what `memraft certs issue` wants to know
    out=$1
    shift
    rm -rf "$out.new"
    memraft certs issue --dir "$root/authority/files" --out "$out.new" "$@" >/dev/null
    rm -rf "$out"
    mv "$out.new" "$out"
}

if [ ! -e "$root/authority/files/ca.pem" ]; then
    memraft certs init --dir "$root/authority/files"
fi
for number in 1 2 3; do
    etc=$root/nodes/n$number
    issue "$etc/certs" --node "n$number" --host "n$number" --host localhost --host 127.0.0.1 --host "$host"
    sed -e "s/@NUMBER@/$number/g" -e "s/@HOST@/$host/g" \
        -e "s/@PORT1@/${MEMRAFT_PORT_1:-7001}/g" -e "s/@PORT2@/${MEMRAFT_PORT_2:-7002}/g" \
        -e "s/@PORT3@/${MEMRAFT_PORT_3:-7003}/g" "$setup/node.toml" >"$etc/node.toml"
    eval "port=\${MEMRAFT_PORT_$number:-700$number}"
    sed -i "s/@PORT@/$port/" "$etc/node.toml"
done
[ -e "$root/clients/agent" ] || issue "$root/clients/agent" --agent "${MEMRAFT_AGENT:-acme/support}"
[ -e "$root/clients/operator" ] || issue "$root/clients/operator" --operator operator
echo "certificates and configurations are ready; clients find theirs with: docker compose cp init:/clients certs"
