#!/usr/bin/env bash
# Gradescope runs this once, as root, while it builds the image. GRADER_ROOT is for trying it out elsewhere.
set -euo pipefail
root="${GRADER_ROOT:-/autograder}"
versions="$root/source/constraints.txt"

# libseccomp2 keeps student code from the network where a container has no namespaces
apt-get install -y python3 python3-venv libseccomp2
python3 -m venv "$root/venv"
"$root/venv/bin/python" -m pip install --quiet -c "$versions" uv
# the CPU build of PyTorch: some 300 MB in the place of several GB
"$root/venv/bin/python" -m uv pip install --quiet --python "$root/venv" --torch-backend cpu \
    -c "$versions" -b "$versions" -e "$root/source[confined]"
