#!/usr/bin/env bash
# The virtual environment, exactly as locked: tools/setup.sh PYTHON VENV TORCH
#
# TORCH is default (PyPI's PyTorch), cpu or auto (PyTorch's own wheels) or none (no PyTorch).
# Run by `make setup`, from the repository's root.
set -euo pipefail
python=$1 venv=$2 torch=$3

# PyTorch and the CUDA packages that it brings, as they begin a line of requirements.lock.
pytorch='^(torch|torchvision|triton)==|^cuda-|^nvidia-[^m]'
jars_lock=apps/torchserve/image/jars.lock

install() {
  "$venv/bin/uv" pip install --no-deps --compile-bytecode "$@"
}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12" >&2
  exit 1
}
test -x "$venv/bin/python" || "$python" -m venv "$venv"
test -x "$venv/bin/uv" || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  --no-deps --require-hashes --requirement tools/uv.txt

case $torch in
  default)
    install --require-hashes --requirement requirements.lock
    ;;
  none)
    awk -v pytorch="$pytorch" '/^[^ ]/ {skip = $0 ~ pytorch} !skip' requirements.lock > "$venv/requirements.txt"
    install --require-hashes --requirement "$venv/requirements.txt"
    ;;
  cpu | auto)
    # PyTorch's own index has other files than PyPI, so that the lock's hashes cannot fit them.
    grep -vE "$pytorch" requirements.lock | grep -vE '^ +(--hash|#)' | sed 's/ *\\$//' > "$venv/requirements.txt"
    install --requirement "$venv/requirements.txt"
    grep -oE '^(torch|torchvision)==[^ ]+' requirements.lock > "$venv/torch.txt"
    "$venv/bin/uv" pip install --torch-backend "$torch" --requirement "$venv/torch.txt"
    ;;
  *)
    echo "TORCH is default, cpu, auto or none" >&2
    exit 1
    ;;
esac
"$venv/bin/uv" pip install --quiet --no-deps --editable .

if [ "$torch" != none ]; then
  # Exit code 3: no Maven repository can be reached. TorchServe then runs what is in its own JAR,
  # and whoever starts it is told.
  "$venv/bin/python" -m harness.jars fetch "$jars_lock" "$venv/share/torchserve/jars" || test $? -eq 3
fi
rm -f "$venv"/.setup-*
touch "$venv/.setup-$torch"
