#!/bin/sh
# One-shot: namespace with 30 days of retention, and its search attributes (contract/names.ts). Safe to repeat.
# Reads TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE.
set -eu

tries=60
until temporal operator cluster health >/dev/null 2>&1; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || { echo "Temporal did not become ready at $TEMPORAL_ADDRESS; its log says why" >&2; exit 1; }
  sleep 2
done

if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
  temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention 30d
else
  temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 30d
fi

set -- Study=Keyword Stage=Keyword Dataset=Keyword ClassName=Keyword Owner=Keyword \
  Kimg=Int SnapshotMetric=Double AwaitingApproval=Bool Regression=Bool
# A new namespace is known to all parts of the server only some seconds later.
for attribute in "$@"; do
  tries=30
  until temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" \
    --name "${attribute%=*}" --type "${attribute#*=}"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || exit 1
    sleep 2
  done
done
echo "namespace $TEMPORAL_NAMESPACE is ready"
