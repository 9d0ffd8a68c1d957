#!/usr/bin/env bash
# Installs what the project needs on Debian 12: to build, to test, to prepare the quickstart's data.
# Does nothing, and needs neither root nor network, where all of it is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOF'
usage: scripts/setup.sh [--with-cuda] [--with-peers] [--with-fuzz] [--list]
  --with-cuda   also what a build for GPUs needs and this machine has not, into .cuda: a CUDA toolkit with cuBLASLt and
                NCCL from PyPI (2 GB); nothing where CUDA_HOME or /usr/local/cuda has them
  --with-peers  also make .venv with PyTorch, transformers and PEFT, for scripts/bench_peers.sh, scripts/check_*.py
                and the tests that run them where .venv is there (about 5 GB; the other tests do not need it)
  --with-fuzz   also clang, for scripts/fuzz.sh
  --list        print the package names and stop
EOF
}

packages=(
  build-essential g++ cmake ninja-build pkg-config ccache clang-format git patch
  libdnnl-dev libeigen3-dev libopenmpi-dev openmpi-bin
  libfmt-dev libspdlog-dev libcli11-dev nlohmann-json3-dev libyaml-cpp-dev libxxhash-dev
  libjpeg62-turbo-dev libpng-dev libtiff-dev libwebp-dev zlib1g-dev libfreetype-dev libutf8proc-dev libpcre2-dev libsentencepiece-dev
  doctest-dev
  # The quickstart's data, the picture of its captions, and the pages of `longsight data preview`.
  python3 python3-fonttools python3-pil fonts-noto-color-emoji fonts-dejavu-core unicode-data
)
# The versions that the reference values of the tests were computed with.
peer_packages=(torch==2.13.0 transformers==5.23.0 peft==0.21.2 tokenizers pillow numpy)

# The series of the toolkit is one: libraries of another are not opened.
cuda_packages=('nvidia-cuda-nvcc==13.0.*' 'nvidia-cuda-crt==13.0.*' 'nvidia-nvvm==13.0.*' 'nvidia-cuda-runtime==13.0.*'
  'nvidia-cuda-cccl==13.0.*' 'nvidia-cublas==13.*' 'nvidia-nccl-cu13==2.*')

with_peers=false
with_cuda=false
for argument in "$@"; do
  case "$argument" in
    --with-peers) with_peers=true; packages+=(python3-venv) ;;
    --with-cuda) with_cuda=true; packages+=(python3-venv) ;;
    --with-fuzz) packages+=(clang libclang-rt-14-dev libomp-dev) ;;
    --list) printf '%s\n' "${packages[@]}"; exit 0 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "setup: unknown argument '$argument'" >&2; usage >&2; exit 64 ;;
  esac
done

fail() {
  echo "setup: $1" >&2
  exit 70
}

is_installed() { [[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]; }

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
  fail "needs Debian or a relative of it (no apt-get here). Install by hand: ${packages[*]}"

missing=()
for package in "${packages[@]}"; do is_installed "$package" || missing+=("$package"); done

if ((${#missing[@]} == 0)); then
  echo "setup: all ${#packages[@]} packages are installed"
else
  as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      fail "not root and no sudo. Have an administrator run: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  echo "setup: installing ${missing[*]}"
  "${as_root[@]}" apt-get update -q ||
    fail "apt-get update failed (see above): is there a network, and is /etc/apt/sources.list right?"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" ||
    fail "apt-get install failed (see above); the package names are those of Debian 12 (bookworm)"
fi

if $with_peers; then
  python=.venv/bin/python
  if [[ -x $python ]] && "$python" -c "import torch, transformers, peft, tokenizers, PIL, numpy" 2>/dev/null; then
    echo "setup: .venv is there: $("$python" -c \
      'import torch, transformers; print("torch", torch.__version__, "transformers", transformers.__version__)')"
  else
    [[ -x $python ]] || /usr/bin/python3 -m venv .venv || fail "cannot make .venv"
    # PyTorch's own index has builds without CUDA, a tenth of the size. Where it cannot be reached, PyPI has the others.
    "$python" -m pip install --no-cache-dir --retries 1 --index-url https://download.pytorch.org/whl/cpu \
      "${peer_packages[0]}" ||
      echo "setup: no PyTorch for the CPU only from download.pytorch.org; taking the one of PyPI" >&2
    "$python" -m pip install --no-cache-dir "${peer_packages[@]}" ||
      fail "pip could not install ${peer_packages[*]} into .venv (see above)"
    echo "setup: made .venv"
  fi
fi

# The toolkit of a folder, with all headers that the build looks for.
has_toolkit() {
  local header
  [[ -x $1/bin/nvcc ]] || return 1
  for header in cuda_runtime.h cublasLt.h nccl.h; do [[ -f $1/include/$header ]] || return 1; done
}

if $with_cuda; then
  toolkit=""
  for folder in "${CUDA_HOME:-}" .cuda /usr/local/cuda; do
    if [[ -n $folder ]] && has_toolkit "$folder"; then toolkit=$folder; break; fi
  done
  wanted=()
  [[ -n $toolkit ]] || wanted+=("${cuda_packages[@]}")
  if ((${#wanted[@]})); then
    mkdir -p .cuda
    [[ -x .cuda/venv/bin/python ]] || /usr/bin/python3 -m venv .cuda/venv || fail "cannot make .cuda/venv"
    .cuda/venv/bin/python -m pip install --no-cache-dir "${wanted[@]}" || fail "pip could not install ${wanted[*]} into .cuda (see above)"
    # The packages lie in folders of their own (nvidia/*/{bin,include,lib,nvvm}); nvcc looks for its parts in one tree.
    site=$(.cuda/venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
    for part in bin include lib nvvm; do
      for folder in "$site"/nvidia/*/"$part" "$site/$part"; do
        [[ -d $folder ]] || continue
        mkdir -p ".cuda/$part"
        cp -rsn "$folder/." ".cuda/$part/"
      done
    done
    [[ -d .cuda/lib && ! -e .cuda/lib64 ]] && ln -s lib .cuda/lib64
    # nvcc finds its tree by where it really lies.
    if [[ -L .cuda/bin/nvcc ]]; then
      cp --remove-destination "$(readlink -f .cuda/bin/nvcc)" .cuda/bin/nvcc
    fi
    [[ -n $toolkit ]] || has_toolkit .cuda || fail "the packages ${cuda_packages[*]} do not make a toolkit in .cuda"
    [[ -n $toolkit ]] || toolkit=.cuda
  fi
  echo "setup: CUDA toolkit in $toolkit: $("$toolkit/bin/nvcc" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')"
fi
