#!/usr/bin/env bash
# Our validator beside the reference validator as HAPI packages it, on the same resources: the official examples, and 200 seeded mutations of
# each of ten kinds. Prints, by kind, on how many both say error or no error, and what a resource costs; every disagreement stands in $WORK.
# Expected disagreements and their reasons stand in docs/validation.md.
#
#   .ci/peers/validator.sh
#
# It installs a JDK and Maven where they are missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
WORK=${WORK:-$(mktemp -d)}

missing=()
command -v javac >/dev/null || missing+=(openjdk-17-jdk-headless)
command -v mvn >/dev/null || missing+=(maven)
command -v python3 >/dev/null || missing+=(python3)
[ ${#missing[@]} -eq 0 ] || { apt-get update -qq && apt-get install -y -qq "${missing[@]}" >&2; }

MERIDIAN_PEER=$WORK go test -count=1 -run '^TestPeerCases$' ./fhir/validate
(
  cd .ci/peers/validator
  [ -d target/lib ] || mvn -q -B dependency:copy-dependencies -DoutputDirectory=target/lib >&2
  javac -cp 'target/lib/*' -d target/classes Validate.java
  java -Xmx3g -cp 'target/classes:target/lib/*' Validate "$WORK/cases.tsv" >"$WORK/peer.tsv"
)
python3 .ci/peers/validator/table.py "$WORK"
