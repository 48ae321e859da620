tens() {
  n=$1
  out=""
  while [ "$n" -ge 10 ]; do
    out="${out}X"
    n=$((n - 10))
  done
  echo "$out"
}
