#!/usr/bin/env bash
# Runs FHIR clients that people use, unmodified, against this server with an empty embedded store: each creates, searches with paging, sends a
# transaction, reads a history, patches. Where a runtime is missing its clients are skipped by name.
#   testdata/clients/run.sh            against a server of its own
#   testdata/clients/run.sh URL        against a running one
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=${WORK:-$(mktemp -d)}
mkdir -p "$work"
base=${1:-}
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; [ -n "${WORK:-}" ] || rm -rf "$work"' EXIT

if [ -z "$base" ]; then
  port=${PORT:-18480}
  base=http://127.0.0.1:$port/fhir
  (cd "$here/../.." && go build -o "$work/meridian" ./server)
  "$work/meridian" --listen "127.0.0.1:$port" --mllp off --data "$work/data" --access-log off >"$work/server.log" 2>&1 &
  server=$!
  for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    kill -0 "$server" || { cat "$work/server.log"; exit 1; }
    sleep 0.1
  done
fi

ran=0
has() {
  local missing=
  for tool in "${@:2}"; do command -v "$tool" >/dev/null || missing+=" $tool"; done
  if [ -n "$missing" ]; then echo "SKIPPED $1: this machine has no$missing"; return 1; fi
  ran=$((ran + 1))
}

if has "the HAPI generic client" java javac mvn; then
  cp -r "$here/java" "$work/"
  (cd "$work/java" && mvn -B -q dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=target/lib && javac -encoding UTF-8 -cp 'target/lib/*' -d target/classes src/main/java/*.java)
  java -cp "$work/java/target/classes:$work/java/target/lib/*" HapiClient "$base"
fi
if has "fhir-kit-client and fhirclient" node npm; then
  cp -r "$here/node" "$work/"
  (cd "$work/node" && npm install --no-package-lock --no-audit --no-fund --silent)
  node "$work/node/fhir_kit_client.mjs" "$base"
  node "$work/node/fhirclient.mjs" "$base"
fi
if has "fhirpy" python3; then
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install -q --disable-pip-version-check -r "$here/python/requirements.txt"
  "$work/venv/bin/python" "$here/python/fhirpy_client.py" "$base"
fi
echo "clients: $ran of 3 runtimes ran"
