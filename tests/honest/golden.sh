#!/usr/bin/env bash
# Writes testdata/golden.txt.gz anew: what became of the recorded requests at the
# commit that the counterweight is measured from. Needed when requests or sites change.
set -euo pipefail
cd "$(dirname "$0")/../.."
from=ea44df6f34d674f971aa030a1b0ab55bb3f86d5a
dir=$(mktemp -d)
trap 'git worktree remove --force "$dir/tree"; rm -rf "$dir"' EXIT
git worktree add -q --detach "$dir/tree" "$from"
mkdir -p "$dir/tree/tests/honest"
cp -r tests/honest/*.go tests/honest/testdata "$dir/tree/tests/honest/"
(cd "$dir/tree" && CGO_ENABLED=0 go test ./tests/honest -run '^TestHonestRequests$' -count=1 -golden)
cp "$dir/tree/tests/honest/testdata/golden.txt.gz" tests/honest/testdata/
