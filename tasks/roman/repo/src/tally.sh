tally() {
  n=$1
  out=""
  while [ "$n" -ge 5 ]; do
    out="${out}V"
    n=$((n - 5))
  done
  while [ "$n" -gt 0 ]; do
    out="${out}I"
    n=$((n - 1))
  done
  echo "$out"
}
