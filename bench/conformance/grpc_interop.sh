#!/usr/bin/env bash
# The gRPC interop cases through two sidecars with mutual TLS between them: client -> its sidecar -> the other's -> server.
# Needs openssl and grpc-go's interop client and server:
#   go install google.golang.org/grpc/interop/client@latest google.golang.org/grpc/interop/server@latest
set -euo pipefail
banyan=${BANYAN:-$(dirname "$0")/../../target/debug/banyan-sidecar}
gobin=${GOBIN:-$(go env GOPATH)/bin}
folder=$(mktemp -d)
free() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
server=$(free) inbound=$(free) call=$(free)
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=mesh -keyout "$folder/ca.key" -out "$folder/ca.pem" 2>/dev/null
for who in caller callee; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$who" -keyout "$folder/$who.key" -out "$folder/$who.csr" 2>/dev/null
  openssl x509 -req -in "$folder/$who.csr" -CA "$folder/ca.pem" -CAkey "$folder/ca.key" -CAcreateserial -days 2 -out "$folder/$who.crt" \
    -extfile <(printf 'subjectAltName=URI:spiffe://shop.example/ns/shop/sa/%s' "$who") 2>/dev/null
done
cat > "$folder/callee.yaml" <<Y
version: 1
trust: { domain: shop.example }
service: { name: callee, url: "http://127.0.0.1:$server", protocol: h2c }
inbound: { mtls: strict, allow: ns/shop/sa/caller }
Y
cat > "$folder/caller.yaml" <<Y
version: 1
trust: { domain: shop.example }
service: { name: caller, url: "http://127.0.0.1:1" }
targets: { callee: { url: "https://127.0.0.1:$inbound", protocol: http2, tls: { spiffe: "spiffe://shop.example/ns/shop/sa/callee" } } }
calls: { callee: { listen: "127.0.0.1:$call" } }
Y
"$gobin/server" --port "$server" 2> "$folder/server.log" & one=$!
papers() { echo --certificate "$folder/$1.crt" --key "$folder/$1.key" --authorities "$folder/ca.pem" --admin 127.0.0.1:0 --access-log off; }
# shellcheck disable=SC2046
"$banyan" run --policies "$folder/callee.yaml" --inbound "127.0.0.1:$inbound" $(papers callee) 2> "$folder/callee.log" & two=$!
# shellcheck disable=SC2046
"$banyan" run --policies "$folder/caller.yaml" $(papers caller) 2> "$folder/caller.log" & three=$!
trap 'kill $one $two $three 2>/dev/null; rm -rf "$folder"' EXIT
sleep 1
failed=0
for case in empty_unary large_unary client_streaming server_streaming ping_pong empty_stream cancel_after_begin \
  cancel_after_first_response timeout_on_sleeping_server status_code_and_message special_status_message custom_metadata \
  unimplemented_method unimplemented_service; do
  if timeout 30 "$gobin/client" --server_host 127.0.0.1 --server_port "$call" --test_case "$case" > "$folder/out" 2>&1; then
    echo "ok      $case"
  else
    failed=1; echo "FAILED  $case"; tail -3 "$folder/out"
  fi
done
exit $failed
