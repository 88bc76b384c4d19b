#!/usr/bin/env bash
# Side by side with HAPI FHIR JPA on PostgreSQL, in one run on one machine: the same made population, the same load tool, phases
# alternating between the two servers. Prints the table of docs/benchmarks.md; result.json stays in $WORK.
#
#   .ci/peers/hapi.sh                 300 patients, 8 s a phase
#   .ci/peers/hapi.sh 100 4           100 patients, 4 s a phase
#   .ci/peers/hapi.sh check           only: does HAPI start, and does the load tool find our server right (30 patients)
#
# BENCH is the folder of the load tool, the generator and HAPI's build (default ../shared/bench beside the checkout). PHASES are
# prefixes of the phases to run; without it all of them. It installs PostgreSQL,
# a JDK and Maven where they are missing, takes the PostgreSQL cluster of Debian's package, and stops what it started.
set -euo pipefail
cd "$(dirname "$0")/../.."
BENCH=${BENCH:-../shared/bench}
WORK=${WORK:-$(mktemp -d)}
PHASES=${PHASES:-create,read,search,everything}
HAPI_PORT=${HAPI_PORT:-18080} OUR_PORT=${OUR_PORT:-18081} SEED=${SEED:-20261121}
mode=run patients=${1:-300} seconds=${2:-8}
if [ "${1:-}" = check ]; then mode=check patients=30 seconds=1; fi
[ -f "$BENCH/gen.py" ] || { echo "no load tool in $BENCH (set BENCH)" >&2; exit 2; }

say() { printf '\n== %s (%ss)\n' "$1" "$SECONDS" >&2; }

started=() cluster=
stop() {
  local pid
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
  [ -z "$cluster" ] || pg_ctlcluster $cluster stop || true
}
trap stop EXIT

# answers URL PID SECONDS waits until URL answers 200.
answers() {
  local i
  for ((i = 0; i < $3 * 5; i++)); do
    if curl -sf -o /dev/null --max-time 20 "$1"; then return 0; fi
    kill -0 "$2" 2>/dev/null || { echo "the server of $1 ended" >&2; return 1; }
    sleep 0.2
  done
  echo "no answer from $1 after $3 s" >&2
  return 1
}

need() {
  local missing=()
  command -v pg_ctlcluster >/dev/null || missing+=(postgresql)
  command -v java >/dev/null || missing+=(openjdk-17-jdk-headless)
  command -v mvn >/dev/null || missing+=(maven)
  command -v python3 >/dev/null || missing+=(python3)
  [ ${#missing[@]} -eq 0 ] || { apt-get update -qq && apt-get install -y -qq "${missing[@]}" >&2; }
}

# postgres starts the cluster and gives it an empty database; postmaster is its process.
postgres() {
  read -r version name < <(pg_lsclusters -h | awk 'NR == 1 { print $1, $2 }')
  if ! pg_ctlcluster "$version" "$name" status >/dev/null; then
    pg_ctlcluster "$version" "$name" start
    cluster="$version $name"
  fi
  (cd / && su postgres -c "psql -qc \"do \\\$\\\$ begin create role hapi login password 'hapi'; exception when duplicate_object then null; end \\\$\\\$\" \
    -c 'drop database if exists hapi' -c 'create database hapi owner hapi'") >&2
  postmaster=$(head -1 "/var/lib/postgresql/$version/$name/postmaster.pid")
}

hapi() {
  [ -d "$WORK/hapi" ] || { cp -r "$BENCH/peer-hapi" "$WORK/hapi" && chmod -R u+w "$WORK/hapi"; }
  if [ ! -d "$WORK/hapi/target/lib" ]; then
    (cd "$WORK/hapi" && mvn -B -q -Dmaven.test.skip=true compile dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=target/lib) >&2
  fi
  (cd "$WORK/hapi" && exec ./run.sh "$HAPI_PORT" jdbc:postgresql://127.0.0.1:5432/hapi hapi hapi) >"$WORK/hapi.log" 2>&1 &
  hapi_pid=$!
  started+=("$hapi_pid")
  answers "http://127.0.0.1:$HAPI_PORT/fhir/metadata" "$hapi_pid" 600
}

ours() {
  rm -rf "$WORK/data"
  "$WORK/server" --listen "127.0.0.1:$OUR_PORT" --mllp off --data "$WORK/data" --access-log off >"$WORK/server.log" 2>&1 &
  our_pid=$!
  started+=("$our_pid")
  answers "http://127.0.0.1:$OUR_PORT/fhir/metadata" "$our_pid" 30
}

load() { "$WORK/load" -data "$WORK/bundles.ndjson" -d "${seconds}s" -only "$PHASES" -base "ours=http://127.0.0.1:$OUR_PORT/fhir" -pid "ours=$our_pid" "$@" >"$WORK/result.json"; }

need
say "build, $WORK"
go build -buildvcs=false -o "$WORK/server" ./server
(cd "$BENCH/load" && go build -buildvcs=false -o "$WORK/load" .)
python3 "$BENCH/gen.py" -patients "$patients" -seed "$SEED" >"$WORK/bundles.ndjson"
status=0
if [ $mode = check ]; then
  say "our server alone"
  ours
  load || status=$?
fi
say "PostgreSQL and HAPI"
postgres
hapi
say "HAPI answers"
if [ $mode = run ]; then
  ours
  load -base "hapi=http://127.0.0.1:$HAPI_PORT/fhir" -pid "hapi=$hapi_pid,$postmaster" || status=$?
fi
python3 .ci/peers/table.py "$WORK/result.json"
[ $status -eq 0 ] || echo "errors or wrong answers: see $WORK/result.json" >&2
exit $status
