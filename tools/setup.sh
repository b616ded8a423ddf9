#!/usr/bin/env bash
# A virtual environment, exactly as locked: tools/setup.sh PYTHON VENV TORCH [LOCK UV]
#
# TORCH is default (PyPI's PyTorch), cpu or auto (PyTorch's own wheels) or none (no PyTorch).
# Run from the repository's root: by `make setup`, and with the LOCK of an image set and the path of
# uv by `harness sets setup`: such an environment has what its image has, and nothing of ours.
set -euo pipefail
python=$1 venv=$2 torch=$3 lock=${4:-requirements.lock}
uv=${5:-$venv/bin/uv}
# Of the harness, which starts often. What a server imports is compiled when it is imported.
compile=(${4:+--no-compile-bytecode})

# PyTorch and the CUDA packages that it brings, as they begin a line of the lock.
pytorch='^(torch|torchvision|triton)==|^cuda-|^nvidia-[^m]'
jars_lock=apps/torchserve/image/jars.lock

install() {
  "$uv" pip install --python "$venv/bin/python" --no-deps "${compile[@]:---compile-bytecode}" "$@"
}

if [ $# -gt 3 ]; then
  "$uv" venv --quiet --clear --python "$python" "$venv"
else
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12" >&2
    exit 1
  }
  test -x "$venv/bin/python" || "$python" -m venv "$venv"
  test -x "$uv" || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --no-deps --require-hashes --requirement tools/uv.txt
fi

case $torch in
  default)
    install --require-hashes --requirement "$lock"
    ;;
  none)
    awk -v pytorch="$pytorch" '/^[^ ]/ {skip = $0 ~ pytorch} !skip' "$lock" > "$venv/requirements.txt"
    install --require-hashes --requirement "$venv/requirements.txt"
    ;;
  cpu | auto)
    # PyTorch's own index has other files than PyPI, so that the lock's hashes cannot fit them.
    grep -vE "$pytorch" "$lock" | grep -vE '^ +(--hash|#)' | sed 's/ *\\$//' > "$venv/requirements.txt"
    install --requirement "$venv/requirements.txt"
    grep -oE '^(torch|torchvision)==[^ ]+' "$lock" > "$venv/torch.txt"
    "$uv" pip install --python "$venv/bin/python" --torch-backend "$torch" --requirement "$venv/torch.txt"
    ;;
  *)
    echo "TORCH is default, cpu, auto or none" >&2
    exit 1
    ;;
esac
[ $# -le 3 ] || exit 0
"$uv" pip install --python "$venv/bin/python" --quiet --no-deps --editable .

if [ "$torch" != none ]; then
  # Exit code 3: no Maven repository can be reached. TorchServe then runs what is in its own JAR,
  # and whoever starts it is told.
  "$venv/bin/python" -m harness.jars fetch "$jars_lock" "$venv/share/torchserve/jars" || test $? -eq 3
fi
rm -f "$venv"/.setup-*
touch "$venv/.setup-$torch"
