#!/usr/bin/env bash
# All measurements that need a GPU: bash benchmarks/gpu.sh OUT
# Runs the GPU tests, then times training (eager, bfloat16, compiled) against the plain loop on the
# same card, at batch sizes 64 and 512, and an evaluation with 50,000 samples. Writes tables, JSON
# files and logs to OUT.
set -uo pipefail
out=${1:?usage: bash benchmarks/gpu.sh OUT}
mkdir -p "$out"
python -m pytest -m gpu -n 0 2>&1 | tee "$out/tests.log"
for batch in 64 512; do
    python -m benchmarks.train wgan wgan_gp sngan --batch-size $batch --compile \
        --json "$out/train_$batch.json" | tee "$out/train_$batch.md"
done
{ time python -m zoo.evaluate checkpoint=wgan_digits count=50000 accelerator=gpu; } 2>&1 |
    tee "$out/evaluate.log"
