addup() {
  n=$1
  out=0
  while [ "$n" -gt 0 ]; do
    out=$((out + n % 10))
    n=$((n / 10))
  done
  echo "$out"
}
