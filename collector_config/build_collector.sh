#!/usr/bin/env bash
# Builds the Collector of builder.yaml, or its load generator, into a cache and prints the path of the program.
#
#   collector_config/build_collector.sh                 the Collector
#   collector_config/build_collector.sh telemetrygen    the Collector's own load generator, of the same version
#
# Needs Go and its module proxy; takes minutes the first time, and nothing once the program is there.
set -euo pipefail
cd "$(dirname "$0")"

NEEDED_GO=26 # 1.26: what the modules of the Collector ask for

program=${1:-otelcol}
version=$(sed -n 's/^  version: //p' builder.yaml)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/otel-usage

fail() {
    echo "build_collector.sh: $1" >&2
    exit "${2:-1}"
}

sha256() {
    if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi
}

require_go() {
    command -v go >/dev/null || fail "Go is not on the PATH; install Go 1.$NEEDED_GO or newer, or take the contrib distribution of the Collector $version or newer instead, which needs no build"
    local found
    found=$(go env GOVERSION)
    local minor=${found#go1.}
    minor=${minor%%[!0-9]*}
    [ "${minor:-0}" -ge "$NEEDED_GO" ] || fail "Go is $found; expected go1.$NEEDED_GO or newer"
}

# Builds in a directory of its own and renames at the end, so that two builds at once, or one that is killed,
# leave nothing half done.
build() {
    require_go
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/build-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    export CGO_ENABLED=0
    "build_$program" >&2
    mv -f "$work/$program" "$1"
}

build_otelcol() {
    awk -v work="$work" '{ print } /^dist:/ { print "  output_path: " work "/source" }' builder.yaml >"$work/builder.yaml"
    go run "go.opentelemetry.io/collector/cmd/builder@v$version" --config "$work/builder.yaml"
    mv "$work/source/otelcol-usage" "$work/otelcol"
}

build_telemetrygen() {
    GOBIN=$work go install "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@v$version"
}

case $program in
    otelcol) path=$cache/otelcol-$(sha256 <builder.yaml | cut -c 1-16) ;;
    telemetrygen) path=$cache/telemetrygen-$version ;;
    *) fail "no program '$program', expected otelcol or telemetrygen" 2 ;;
esac

[ -x "$path" ] || build "$path"
echo "$path"
