binary() {
  n=$1
  out=""
  while [ "$n" -gt 0 ]; do
    out="$((n % 2))$out"
    n=$((n / 2))
  done
  echo "$out"
}
