digits() {
  n=$1
  out=1
  while [ "$n" -gt 9 ]; do
    out=$((out + 1))
    n=$((n / 10))
  done
  echo "$out"
}
