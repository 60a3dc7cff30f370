# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The parts of run.sh: part_NAME, each in a shell of its own, in an empty folder. number, word, good, bad and left_out are run.sh's.
# shellcheck disable=SC2154 # work, OUT, dry and failures are run.sh's too

bin=$GPU_PROGRAMS/bin
config=$root/tests/integration/small.toml
[ -n "$dry" ] || export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc)}"

# in_gpu COMMAND...: with the libraries of the archive and of CUDA.
in_gpu() { LD_LIBRARY_PATH=$GPU_LIBRARIES "$@"; }

# launch RANKS COMMAND...
launch() {
  local ranks=$1
  shift
  if [ "$ranks" = 1 ]; then
    in_gpu "$@"
  else
    OMP_NUM_THREADS=$((${OMP_NUM_THREADS:-1} / ranks > 0 ? ${OMP_NUM_THREADS:-1} / ranks : 1)) \
      in_gpu "$bin/mpirun" --oversubscribe --bind-to none -np "$ranks" "$@"
  fi
}

# Training runs: short sequences on the emulated GPU, which is slow.
if [ -n "$dry" ]; then same=(--training.seq_len 16); else same=(--training.seq_len 256); fi

# train NAME RANKS CODE OPTIONS...: a run of the debug model on the GPU (or as the options say), which ends with the code.
train() {
  local name=$1 ranks=$2 wanted=$3 code
  shift 3
  launch "$ranks" "$bin/titan-hpc" --job.config_file "$config" --job.dump_folder "$name" --job.device cuda "${same[@]}" "$@"
  code=$?
  [ $code = "$wanted" ] || bad "$name ended with code $code, expected $wanted"
}

# alike NAME ARGUMENTS...: of compare_steps.
alike() {
  local name=$1
  shift
  in_gpu "$bin/compare_steps" "$@" || bad "$name: compare_steps $*"
}

# value KEY FILE: a number of a JSON file.
value() { sed -n "s/.*\"$1\": \\([-0-9.e+]*\\).*/\\1/p" "$2" | head -n 1; }
# at_most A B FACTOR: A <= B FACTOR, and both are numbers.
at_most() { awk -v a="$1" -v b="$2" -v f="$3" 'BEGIN { exit !(a != "" && b != "" && a + 0 <= b * f) }'; }

part_machine() {
  local file
  {
    uname -a
    nproc
    if [ -z "$dry" ]; then nvidia-smi -q; fi
    "$GPU_PYTHON" --version
    in_gpu "$bin/titan-hpc" --version
    for file in "$bin"/* "$GPU_PROGRAMS"/lib/titan-hpc/*.so "$GPU_PROGRAMS"/openmpi/*.so; do
      [ ! -f "$file" ] || in_gpu ldd "$file" 2>&1 | grep -E 'not found' | sed "s|^|${file##*/}: |"
    done
  } >"$OUT/machine.txt" 2>&1
  grep 'not found' "$OUT/machine.txt" && bad "libraries are missing: $(grep 'not found' "$OUT/machine.txt" | head -n 2)"
  if [ -z "$dry" ]; then
    number driver "\"$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1)\""
    word "$(nvidia-smi --query-gpu=name,memory.total,clocks.max.sm,power.limit --format=csv,noheader | head -n 1)"
  fi
  word "$(in_gpu "$bin/titan-hpc" --version | grep '^CUDA: ' | sed 's/.*libtitan_cuda.so: //')"
  # A run that must have a GPU has one.
  train first 1 0 --training.steps 1 --training.warmup_steps 1
}

kernels() { in_gpu "$bin/benchmark_gpu_kernels" ${dry:+--divisor 64} "$@"; }
# row NAME FILE KEY: of the JSON rows of the kernels' benchmark.
row() { sed -n "s/.*\"name\": \"$1\".*\"$3\": \\([-0-9.e+]*\\).*/\\1/p" "$2"; }

part_ceilings() {
  local copy product
  kernels --operation none --json ceilings.json || bad "the benchmark failed"
  copy=$(row copy ceilings.json bytes_per_second)
  product=$(row 'square product bfloat16' ceilings.json flops_per_second)
  if [ -z "$copy" ] || [ -z "$product" ]; then
    bad "no rates were measured"
    return
  fi
  number copy_bytes_per_second "$copy"
  number product_flops_per_second "$product"
  word "$(awk -v c="$copy" -v p="$product" 'BEGIN { printf "copy %.0f GB/s, bfloat16 product %.1f TFLOP/s", c / 1e9, p / 1e12 }')"
}

# twice PROGRAM: passes, and gives the same bits, on the emulated GPU in another order of threads too.
twice() {
  local run
  for run in 1 2; do
    if [ -n "$dry" ] && [ $run = 2 ]; then export TITAN_EMULATED_SEED=7 TITAN_EMULATOR_ORDER=backward; fi
    TITAN_TEST_DIGESTS=$1.$run in_gpu "$bin/$1" || bad "$1, run $run, has failures"
  done
  unset TITAN_EMULATED_SEED TITAN_EMULATOR_ORDER
  if [ ! -s "$1.1" ] || ! cmp "$1.1" "$1.2"; then
    bad "$1: two runs differ: $(diff "$1.1" "$1.2" | grep '^<' | cut -d' ' -f2 | sort -u | paste -sd, | head -c 200)"
  fi
  number "$1_results" "$(wc -l <"$1.1")"
}
part_conformance() {
  twice gpu_attention
  twice gpu_conformance
  good "$(cat gpu_attention.1 gpu_conformance.1 | wc -l) results, twice"
}

part_golden() {
  in_gpu "$bin/gpu_golden_llama" "$root/tests/golden/llama" || bad "logits, gradients or ten steps are not PyTorch's"
  good "logits, gradients, ten steps of six models"
}

part_debugmodel() {
  local steps=20 dtype tolerance
  [ -z "$dry" ] || steps=4
  for dtype in float32 bfloat16; do
    tolerance=$([ $dtype = float32 ] && echo 1e-4 || echo 1e-2)
    train "$dtype.cpu" 1 0 --training.steps $steps --training.mixed_precision_param $dtype --job.device cpu
    train "$dtype.gpu" 1 0 --training.steps $steps --training.mixed_precision_param $dtype
    alike $dtype numbers $steps "$tolerance" "$dtype.cpu/steps.txt" "$dtype.gpu/steps.txt"
    ! cmp -s "$dtype.cpu/steps.txt" "$dtype.gpu/steps.txt" || bad "$dtype: all digits are the CPU's, as if it had computed"
  done
  good "$steps steps as the CPU's, float32 within 1e-4, bfloat16 within 1e-2"
}

part_resume() {
  local steps=10 options
  [ -z "$dry" ] || steps=4
  options=(--training.steps "$steps" --training.mixed_precision_param bfloat16 --training.compile --training.deterministic)
  train straight 1 0 "${options[@]}"
  options+=(--checkpoint.enable_checkpoint --checkpoint.interval $((steps / 2)))
  train parts 1 6 "${options[@]}" --debug.inject_nan_step $((steps / 2 + 1))
  train parts 1 0 "${options[@]}"
  alike resume bitwise $steps straight/steps.txt parts/steps.txt
  good "$steps steps, bitwise"
}

# An option that has whole steps recorded and replayed.
part_recorded() {
  local option on=true off=false options
  option=$(in_gpu "$bin/titan-hpc" --help | grep -oE -- '--[a-z_]+\.[a-z_]*(record|cuda_graph|capture)[a-z_]*' | grep -vE 'record_step_numbers' | head -n 1)
  if [ -z "$option" ]; then
    word "titan-hpc --help has no option that records steps"
    exit 78
  fi
  in_gpu "$bin/titan-hpc" --help "${option#--}" | grep -q 'true or false' || on='on' off='off'
  options=(--training.steps 6 --training.mixed_precision_param bfloat16 --training.compile --training.deterministic)
  train on 1 0 "${options[@]}" "$option" $on
  train off 1 0 "${options[@]}" "$option" $off
  alike recorded bitwise 6 on/steps.txt off/steps.txt
  good "$option on and off: bitwise"
}

# sanitize TOOL COMMAND...
sanitize() {
  local tool=$1 code
  shift
  in_gpu timeout 25 "$sanitizer" --tool "$tool" --error-exitcode 9 "$@" >"$tool.log" 2>&1
  code=$?
  grep 'SUMMARY' "$tool.log"
  case $code in
  0) word "$tool: $(grep -o 'SUMMARY.*' "$tool.log" | tail -n 1)" ;;
  124) word "$tool: no end after 25 s; $(grep -c 'Error\|hazard' "$tool.log") reports until then" ;;
  *) tail -n 40 "$tool.log" && bad "$tool ended with code $code: $(grep -m 1 'Invalid\|hazard\|Error' "$tool.log")" ;;
  esac
}
part_sanitizer() {
  local sanitizer
  [ -z "$dry" ] || left_out "compute-sanitizer needs a GPU"
  sanitizer=$(command -v compute-sanitizer || find /usr/local/cuda*/ -name compute-sanitizer -type f -perm -u+x 2>/dev/null | head -n 1)
  [ -n "$sanitizer" ] || left_out "there is no compute-sanitizer"
  sanitize memcheck "$bin/titan-hpc" --job.config_file "$config" --job.dump_folder memcheck --job.device cuda --training.seq_len 64 \
    --training.steps 2 --training.compile
  sanitize racecheck "$bin/gpu_attention"
}

part_kernels() {
  kernels --json "$OUT/kernels.json" || bad "the benchmark failed"
  # The worst by their share of the ceiling, for ncu.
  sed -n 's/.*"name": "\([^"]*\)".*"share": \([0-9.]*\).*/\2 \1/p' "$OUT/kernels.json" | grep -vE ' (copy|square product)' | sort -n >"$work/worst"
  number kernels "$(grep -c name "$OUT/kernels.json")"
  [ "$(wc -l <"$work/worst")" -gt 20 ] || bad "kernels.json has $(wc -l <"$work/worst") kernels"
  word "shares of the ceilings, least: $(head -n 3 "$work/worst" | paste -sd,)"
}

# Layers of 8B that fit the GPU with their states: 2.8 B parameters need 45 GB.
layers() {
  local mib
  [ -z "$dry" ] || { echo 2 && return; }
  mib=$(nvidia-smi --query-gpu=memory.total --format=csv,noheader,nounits | head -n 1)
  if [ "$mib" -gt 120000 ]; then echo 16; elif [ "$mib" -gt 70000 ]; then echo 8; else echo 3; fi
}

# steps BATCH ACTIVATIONS: with half the layers where all do not fit.
steps() {
  local file=$work/step_$1_$2.json count options
  for count in "$(layers)" $(($(layers) / 2)); do
    options=(--layers "$count" --batch "$1" --activations "$2")
    [ -z "$dry" ] || options+=(--divisor 64 --warm 1 --steps 2)
    in_gpu "$bin/benchmark_gpu_step" "${options[@]}" --json "$file" && break
    word "batch $1, $2: no steps with $count layers"
    rm -f "$file"
  done
  [ -f "$file" ] || { bad "batch $1, $2: no steps" && return; }
  number "batch_$1_$2" "$(tr -d '\n' <"$file")"
  word "$count layers, batch $1, $2: $(value tokens_per_second "$file") tokens/s, MFU $(value mfu "$file")"
  at_most "$(value taken_bytes "$file")" "$(value planned_bytes "$file")" 1.02 ||
    bad "batch $1, $2: $(value taken_bytes "$file") bytes were taken, $(value planned_bytes "$file") planned"
}
part_steps() {
  steps 1 none
  steps 2 none
  steps 1 op
}

# peer NAME OPTIONS...
peer() {
  local file=$work/peer_$1.json ours=$work/step_1_none.json count
  shift
  if [ -f "$ours" ]; then count=$(value layers "$ours"); else count=$(layers); fi
  "$GPU_PYTHON" "$root/benchmarks/gpu/pytorch_step.py" --layers "$count" --json "$file" "$@" || { bad "$file: PyTorch failed" && return; }
  number "$(basename "$file" .json)" "$(tr -d '\n' <"$file")"
  word "$(basename "$file" .json): $(value tokens_per_second "$file") tokens/s, MFU $(value mfu "$file")"
  [ ! -f "$ours" ] || word "titan-hpc has $(awk -v a="$(value tokens_per_second "$ours")" -v b="$(value tokens_per_second "$file")" \
    'BEGIN { printf "%.3f", a / b }') times as many"
}
part_peer() {
  [ -z "$dry" ] || left_out "PyTorch is compared with on a GPU"
  "$GPU_PYTHON" -c 'import torch; assert torch.cuda.is_available()' || left_out "there is no Python with PyTorch for this GPU"
  peer compiled --compile
  if [ $SECONDS -lt 50 ]; then peer eager; else word "eager: no time was left"; fi
}

part_ranks() {
  local count=6 options
  [ -z "$dry" ] || count=2
  options=(--training.steps "$count" --comm.gpu_transport host)
  train one 1 0 "${options[@]}" --training.batch_size 4
  train fsdp2 2 0 "${options[@]}" --training.batch_size 2
  train tp2 2 0 "${options[@]}" --training.batch_size 4 --training.tensor_parallel_degree 2
  train hsdp4 4 0 "${options[@]}" --training.batch_size 1 --training.data_parallel_replicate_degree 2 --training.data_parallel_shard_degree 2
  for mesh in fsdp2 tp2 hsdp4; do
    alike $mesh numbers $count 1e-4 one/steps.txt $mesh/steps.txt
  done
  good "FSDP 2, tp 2 and HSDP 2x2 by host memory train as one rank, float32 within 1e-4"
}

part_ncu() {
  local ncu name
  [ -z "$dry" ] || left_out "ncu needs a GPU"
  ncu=$(command -v ncu || find /usr/local/cuda*/ /opt/nvidia -name ncu -type f -perm -u+x 2>/dev/null | head -n 1)
  [ -n "$ncu" ] || left_out "there is no ncu"
  [ -s "$work/worst" ] || left_out "the kernels were not measured"
  sed 's/^[0-9.]* //; s/ .*//' "$work/worst" | awk '!seen[$0]++' | head -n 3 | while read -r name; do
    in_gpu timeout 12 "$ncu" --clock-control none --kernel-name-base demangled --launch-skip 2 --launch-count 2 --section SpeedOfLight \
      --section MemoryWorkloadAnalysis --section Occupancy --section LaunchStats "$bin/benchmark_gpu_kernels" --ceilings no --operation "$name"
  done >"$OUT/ncu.txt" 2>&1
  grep -q 'Duration' "$OUT/ncu.txt" || bad "ncu measured nothing: $(grep -m 1 -i 'error' "$OUT/ncu.txt")"
  word "$(grep -c Duration "$OUT/ncu.txt") launches in ncu.txt"
}
