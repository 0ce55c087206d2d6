#!/usr/bin/env bash
# What is to be measured on a machine with GPUs, from the repository's root: bash benchmarks/gpu.sh [OUT]
# Needs torch with CUDA, NumPy and tqdm; the last two parts also a corpus (dsel toy --out runs/toy --speakers 1000 --tracks 2).
set -euo pipefail
OUT=${1:-runs/gpu}
export PYTHONPATH=${PYTHONPATH:-$PWD}
mkdir -p "$OUT"

# 1. Our step over the plain one, tracks a second, share of the bf16 ceiling, memory: compiled and not.
python benchmarks/step.py --rounds 20 --out "$OUT/step.md"
python benchmarks/step.py --config paper --B 60 --rounds 20 --out "$OUT/step-paper-60.md"

# 2. No step waits for the GPU: torch raises an error where one does.
python - <<'PYTHON'
import tempfile, torch
import sys
sys.path.insert(0, "benchmarks")
from step import Noise
from dsel.model import ModelConfig
from dsel.timing import frames_for
from dsel.train import TrainConfig, Trainer

with tempfile.TemporaryDirectory() as folder:
    config = TrainConfig.laptop(B=32, extra=64, loader="cache")
    trainer = Trainer(Noise(96, frames_for(config.N)), ModelConfig.laptop(), config, folder, progress=False)
    batch = trainer._read(0)
    for _ in range(3):
        trainer.running.add(trainer.train_step(batch), 0)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    trainer.running.add(trainer.train_step(batch), 1)
    torch.cuda.set_sync_debug_mode("default")
print("a step does not wait for the GPU")
PYTHON

# 3. Where the time of a step goes.
python - "$OUT" <<'PYTHON'
import sys, tempfile
from torch.profiler import ProfilerActivity, profile
sys.path.insert(0, "benchmarks")
from step import Noise
from dsel.model import ModelConfig
from dsel.timing import frames_for
from dsel.train import TrainConfig, Trainer

with tempfile.TemporaryDirectory() as folder:
    config = TrainConfig.paper(loader="cache")
    trainer = Trainer(Noise(30, frames_for(30)), ModelConfig.paper(), config, folder, progress=False)
    batch = trainer._read(0)
    for _ in range(5):
        trainer.train_step(batch)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        trainer.train_step(batch)
    open(f"{sys.argv[1]}/profile.txt", "w").write(found.key_averages().table(sort_by="cuda_time_total", row_limit=30))
PYTHON

# 4. With clips from disk, and on all GPUs of the machine.
if [ -d runs/toy ]; then
  [ -f benchmarks/loader.py ] && python benchmarks/loader.py || true
  python -m dsel train --data runs/toy --out "$OUT/laptop" --set B=64 extra=256 steps=20000 lr=2e-3 save_every=1000
  python -m dsel evaluate "$OUT/laptop" --data runs/toy | tee "$OUT/laptop.txt"
  COUNT=$(python -c "import torch; print(torch.cuda.device_count())")
  if [ "$COUNT" -gt 1 ]; then
    torchrun --standalone --nproc-per-node "$COUNT" -m dsel train --data runs/toy --out "$OUT/laptop-$COUNT" \
      --set B=$((64 / COUNT)) extra=$((256 / COUNT)) steps=20000 lr=2e-3 save_every=1000
  fi
fi
