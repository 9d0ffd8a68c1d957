#!/usr/bin/env bash
# From a fresh Debian 12 to a trained vision-language model that names emoji it has never seen: packages, build, data,
# training on two ranks that share every fused sequence, captions. About ten minutes on two cores, half of it training.
# A run that is there already is moved aside to runs/emoji.1, .2, ...
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOF'
usage: scripts/quickstart.sh [--skip-setup] [--fresh] [--ranks N] [key=value ...]
  --skip-setup  do not look for missing packages
  --fresh       delete runs/emoji first, and train from the start
  --ranks N     ranks of the sequence group (default: 2)
  key=value     changes to configs/emoji.yaml, for example train.steps=500
EOF
}

setup=true
fresh=false
ranks=2
overrides=()
while (($#)); do
  case "$1" in
    --skip-setup) setup=false ;;
    --fresh) fresh=true ;;
    --ranks) ranks=${2:?--ranks needs a number}; shift ;;
    -h | --help) usage; exit 0 ;;
    *=*) overrides+=("$1") ;;
    *) echo "quickstart: unknown argument '$1'" >&2; usage >&2; exit 64 ;;
  esac
  shift
done

longsight=build/host/longsight
data=data/emoji
run=runs/emoji

phase=start
started=$SECONDS
elapsed=()
begin() {
  phase=$1
  started=$SECONDS
  printf '\n=== %s\n' "$phase"
}
end() { elapsed+=("$(printf '%5d s  %s' $((SECONDS - started)) "$phase")"); }
report() {
  local status=$?
  printf '\nelapsed:\n'
  if ((${#elapsed[@]})); then printf '  %s\n' "${elapsed[@]}"; fi
  printf '  %5d s  in total\n' "$SECONDS"
  if ((status == 75)); then
    echo "quickstart: stopped with a checkpoint; run scripts/quickstart.sh again to go on"
  elif ((status != 0)); then
    echo "quickstart: failed in: $phase (exit code $status); the message above says why" >&2
  fi
}
trap report EXIT

if $setup; then
  begin "packages (scripts/setup.sh)"
  scripts/setup.sh
  end
fi

begin "build (build/host)"
cmake --preset host -DLONGSIGHT_NATIVE=ON -DLONGSIGHT_UNITY=ON
cmake --build --preset host --parallel "$(nproc)" --target longsight
end

begin "data ($data)"
scripts/prepare_emoji.py --out "$data"
rm -rf "$data/tokenizer"
$longsight data tokenizer --vocab 1000 "$data/train.jsonl" --out "$data/tokenizer"
end

begin "training on $ranks ranks ($run)"
if $fresh; then rm -rf "$run"; fi
launch/run.sh -n "$ranks" configs/emoji.yaml "parallel.sequence=$ranks" "${overrides[@]}"
end

begin "captions of held-out emoji"
$longsight generate --model "$run" --data "$data/heldout.jsonl" --max-tokens 48 >"$run/heldout_captions.jsonl"
scripts/caption_sheet.py --data "$data/heldout.jsonl" --generated "$run/heldout_captions.jsonl" --out "$run/captions.png"
end

cat <<EOF

The model is in $run/model, in the layout of Hugging Face. Ask it about a picture:
  $longsight generate --model $run --image $data/png/1f680.png --prompt "What is this?"
EOF
