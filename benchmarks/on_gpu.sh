#!/bin/sh
# Everything that only a GPU can show, in at most five minutes: sh benchmarks/on_gpu.sh [python]
# The tests of tests/gpu, then every operator and model against torchvision on the GPU.
set -u
python=${1:-python}
cd "$(dirname "$0")/.." || exit 2
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
timeout 120 "$python" -m pytest -q tests/gpu
tests=$?
timeout 170 "$python" -m benchmarks --device "${DEVICE:-cuda}" --seconds 1
rows=$?
echo "tests/gpu: $tests, benchmarks: $rows (0 is good; 124 is out of time)"
[ $tests -eq 0 ] && [ $rows -eq 0 ]
