#!/usr/bin/env bash
# Gradescope runs this once, as root, while it builds the image. GRADER_ROOT is for trying it out elsewhere.
set -euo pipefail
root="${GRADER_ROOT:-/autograder}"

apt-get install -y python3 python3-venv
python3 -m venv "$root/venv"
"$root/venv/bin/python" -m pip install --quiet "uv>=0.7.14"
# the CPU build of PyTorch: some 300 MB in the place of several GB
"$root/venv/bin/python" -m uv pip install --quiet --python "$root/venv" --torch-backend cpu -e "$root/source"
