quarter() {
  month=$1
  out=$((month - 1))
  out=$((out / 3))
  out=$((out + 1))
  echo "$out"
}
