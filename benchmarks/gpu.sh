#!/usr/bin/env bash
# Measure on a machine with a GPU, from the repository's root:
#     bash benchmarks/gpu.sh [OUT]           everything; OUT is runs/gpu unless given
#     DRY=1 bash benchmarks/gpu.sh [OUT]     the same commands with tiny sizes, on a CPU too: do they run?
# Needs torch with CUDA, NumPy and tqdm; the last two parts espeak-ng, and write a corpus into OUT.
set -euo pipefail
OUT=${1:-runs/gpu}
export PYTHONPATH=${PYTHONPATH:-$PWD} DRY=${DRY:-}
mkdir -p "$OUT"

# 1. Our step over the plain one (aim: 5 or more), tracks a second, share of the bf16 ceiling (aim: 40 %), memory.
LAPTOP=(--config laptop --rounds 20) PAPER=(--config paper --B 60 --rounds 20)
if [ -n "$DRY" ]; then
  LAPTOP=(--config laptop --B 2 --N 4 --extra 2 --rounds 1) PAPER=(--config paper --B 2 --N 2 --rounds 1)
fi
python benchmarks/step.py "${LAPTOP[@]}" --out "$OUT/step.md"
python benchmarks/step.py "${PAPER[@]}" --out "$OUT/step-paper.md"

# 2. No step waits for the GPU (torch raises an error where one does); a step with its batches read over
#    a step on a batch that is there (aim: 1.05 or less); where the time of a step goes.
python - "$OUT" <<'PYTHON'
import os, sys, tempfile, time
import torch
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, "benchmarks")
from step import Noise

from dsel.model import ModelConfig
from dsel.timing import frames_for
from dsel.train import TrainConfig, Trainer

dry, cuda = bool(os.environ["DRY"]), torch.cuda.is_available()
B, extra, steps = (2, 2, 2) if dry else (64, 256, 200)


def trainer_in(folder, **changes):
    config = TrainConfig.laptop(B=B, extra=extra, loader="cache", steps=10 * steps + 20, log_every=steps, **changes)
    people = Noise(B + extra, frames_for(config.N))
    return Trainer(people, ModelConfig.laptop(), config, folder, progress=False)


def seconds(run):
    begun = time.perf_counter()
    run()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - begun


with tempfile.TemporaryDirectory() as folder:
    trainer = trainer_in(folder)
    batch = trainer._read(0)
    for _ in range(3):
        trainer.running.add(trainer.train_step(batch), 0)
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        trainer.running.add(trainer.train_step(batch), 1)
        torch.cuda.set_sync_debug_mode("default")
        print("a step does not wait for the GPU")
    resident = seconds(lambda: [trainer.train_step(batch) for _ in range(steps)])
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda
    with profile(activities=activities) as found:
        trainer.train_step(batch)
    order = "cuda_time_total" if cuda else "cpu_time_total"
    table = found.key_averages().table(sort_by=order, row_limit=30)
    open(f"{sys.argv[1]}/profile.txt", "w").write(table)
with tempfile.TemporaryDirectory() as folder:
    trainer = trainer_in(folder)
    trainer.fit(until=3)
    read = seconds(lambda: trainer.fit(until=3 + steps))
line = f"a step with its batches read: {read / resident:.3f} times one on a batch that is there"
open(f"{sys.argv[1]}/loader.txt", "w").write(line + "\n")
print(line)
PYTHON

# 3. The long trainings of the grid: which lambda, the fifth term, no bound on w; five seeds.
if [ -n "$DRY" ]; then
  python -m dsel ablation --preset fast --rows e1-none-lam3-long --seeds 0 --out "$OUT/grid"
else
  python -m dsel ablation --preset grid --rows long --out "$OUT/grid"
fi

# 4. On all GPUs of the machine.
COUNT=$(python -c "import torch; print(torch.cuda.device_count())")
if [ "$COUNT" -gt 1 ]; then
  torchrun --standalone --nproc-per-node "$COUNT" -m dsel train --data "$OUT/grid/corpora/e0" --out "$OUT/all-$COUNT" \
    --set B=$((64 / COUNT)) extra=$((256 / COUNT)) steps=2000 within=1
fi
