ones() {
  n=$1
  out=0
  while [ "$n" -gt 0 ]; do
    out=$((out + n % 2))
    n=$((n / 2))
  done
  echo "$out"
}
